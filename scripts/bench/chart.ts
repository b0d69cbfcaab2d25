export interface Series {
  readonly name: string;
  readonly color: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

const WIDTH = 720;
const HEIGHT = 420;
const PLOT = { left: 80, right: 700, top: 60, bottom: 360 };
const FONT = 'font-family="system-ui, sans-serif" font-size="13" fill="#222"';

/** Returns an SVG line chart with logarithmic axes, and a tick at each of the given values. */
export function drawChart({
  title,
  xTitle,
  yTitle,
  xTicks,
  yTicks,
  series,
}: {
  title: string;
  xTitle: string;
  yTitle: string;
  xTicks: readonly number[];
  yTicks: readonly number[];
  series: readonly Series[];
}): string {
  const x = logScale(xTicks, PLOT.left, PLOT.right);
  const y = logScale(yTicks, PLOT.bottom, PLOT.top);
  const middle = (PLOT.left + PLOT.right) / 2;
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    `<text x="${PLOT.left}" y="24" ${FONT} font-weight="bold">${title}</text>`,
    ...yTicks.flatMap((tick) => [
      `<line x1="${PLOT.left}" x2="${PLOT.right}" y1="${y(tick)}" y2="${y(tick)}" stroke="#ddd"/>`,
      `<text x="${PLOT.left - 8}" y="${Number(y(tick)) + 4}" text-anchor="end" ${FONT}>${format(tick)}</text>`,
    ]),
    ...xTicks.map(
      (tick) =>
        `<text x="${x(tick)}" y="${PLOT.bottom + 20}" text-anchor="middle" ${FONT}>${format(tick)}</text>`,
    ),
    `<text x="${middle}" y="${HEIGHT - 16}" text-anchor="middle" ${FONT}>${xTitle}</text>`,
    `<text transform="translate(18 ${(PLOT.top + PLOT.bottom) / 2}) rotate(-90)" text-anchor="middle" ${FONT}>${yTitle}</text>`,
    ...series.flatMap(({ name, color, points }, index) => [
      `<polyline fill="none" stroke="${color}" stroke-width="2" points="${points.map(([a, b]) => `${x(a)},${y(b)}`).join(' ')}"/>`,
      ...points.map(([a, b]) => `<circle cx="${x(a)}" cy="${y(b)}" r="3" fill="${color}"/>`),
      `<rect x="${PLOT.left + index * 210}" y="36" width="12" height="12" fill="${color}"/>`,
      `<text x="${PLOT.left + index * 210 + 18}" y="47" ${FONT}>${name}</text>`,
    ]),
    '</svg>',
  ];
  return `${lines.join('\n')}\n`;
}

function logScale(ticks: readonly number[], from: number, to: number): (value: number) => string {
  const [low = 1, high = 1] = [ticks[0], ticks.at(-1)];
  return (value) => (from + (Math.log(value / low) / Math.log(high / low)) * (to - from)).toFixed(1);
}

const format = (value: number) => value.toLocaleString('en-US');

/** Returns 1, 2, 5, 10, 20, ... from below the smallest value to above the largest one. */
export function ticksAround(values: readonly number[]): number[] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high * 10; power += 1) {
    for (const step of [1, 2, 5]) ticks.push(Number((step * 10 ** power).toPrecision(1)));
  }
  const first = ticks.findLastIndex((tick) => tick <= low);
  const last = ticks.findIndex((tick) => tick >= high);
  return ticks.slice(Math.max(first, 0), last + 1);
}

/**
 * `npm run record-demo`: runs `npm run demo` and writes its output, with its timing, to docs/demo.svg.
 * The image animates with CSS alone, follows the reader's light or dark theme, and is static for readers who prefer no motion.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = resolve(import.meta.dirname, '..');
const OUTPUT = join(ROOT, 'docs/demo.svg');

const FONT_SIZE = 13;
const LINE_HEIGHT = 19;
const CHARACTER_WIDTH = 7.85;
const PADDING = 16;
/** How long the complete output stays visible before the animation starts again. */
const FINAL_PAUSE_MS = 6_000;

interface Line {
  readonly text: string;
  /** Since the first line. */
  readonly atMs: number;
}

async function runDemo(): Promise<readonly Line[]> {
  const demo = spawn('npm', ['run', '--silent', 'demo'], { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(demo, 'exit');
  const lines: { text: string; receivedAt: number }[] = [];
  for await (const text of createInterface({ input: demo.stdout })) {
    lines.push({ text, receivedAt: performance.now() });
  }
  const [exitCode] = await exited;
  if (exitCode !== 0)
    throw new Error(`npm run demo failed with exit code ${exitCode}: docs/demo.svg is unchanged`);
  const start = lines[0]?.receivedAt ?? 0;
  return lines.map(({ text, receivedAt }) => ({ text, atMs: receivedAt - start }));
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** The check mark and the elapsed time get their own colors. */
function toTspans(text: string): string {
  const [, time = '', mark = '', rest = text] = /^( *[\d.]+ s {2})( *[✓✗])?(.*)$/.exec(text) ?? [];
  const spans = [
    ['time', time],
    [mark.includes('✗') ? 'bad' : 'good', mark],
    [/^\d\. /.test(rest) ? 'step' : '', rest],
  ];
  return spans
    .filter(([, content]) => content !== '')
    .map(([name, content = '']) =>
      name === '' ? escapeXml(content) : `<tspan class="${name}">${escapeXml(content)}</tspan>`,
    )
    .join('');
}

function toSvg(lines: readonly Line[]): string {
  const totalMs = Math.round((lines.at(-1)?.atMs ?? 0) + FINAL_PAUSE_MS);
  const columns = Math.max(...lines.map(({ text }) => text.length));
  const width = Math.ceil(columns * CHARACTER_WIDTH + 2 * PADDING);
  const height = lines.length * LINE_HEIGHT + 2 * PADDING;
  const percent = (ms: number) => ((100 * ms) / totalMs).toFixed(2);
  const keyframes = lines.map(
    ({ atMs }, index) =>
      `@keyframes l${index}{0%{opacity:0}${percent(atMs)}%{opacity:1}to{opacity:1}}#l${index}{animation-name:l${index}}`,
  );
  const texts = lines.map(
    ({ text }, index) =>
      `<text xml:space="preserve" id="l${index}" x="${PADDING}" y="${PADDING + FONT_SIZE + index * LINE_HEIGHT}">${toTspans(text)}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>npm run demo: hangup deletes the room of a cancelled call, although LiveKit fails and hangup is killed</title>
<style>
:root{--background:#f6f8fa;--text:#24292f;--time:#6e7781;--good:#1a7f37;--bad:#cf222e}
@media (prefers-color-scheme:dark){:root{--background:#161b22;--text:#e6edf3;--time:#8b949e;--good:#3fb950;--bad:#f85149}}
rect{fill:var(--background)}
text{fill:var(--text);font:${FONT_SIZE}px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}
.time{fill:var(--time)}.good{fill:var(--good)}.bad{fill:var(--bad)}.step{font-weight:bold}
@media (prefers-reduced-motion:no-preference){
text{animation:${totalMs}ms step-end infinite}
${keyframes.join('\n')}
}
</style>
<rect width="100%" height="100%" rx="8"/>
${texts.join('\n')}
</svg>
`;
}

const lines = await runDemo();
writeFileSync(OUTPUT, toSvg(lines));
process.stdout.write(`${OUTPUT}: ${lines.length} lines, ${Math.round((lines.at(-1)?.atMs ?? 0) / 1000)} s\n`);

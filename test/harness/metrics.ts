export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ScrapedMetrics {
  readonly samples: readonly Sample[];
  has(name: string): boolean;
  /** Returns the value of the series with exactly these labels; throws when there is no such series. */
  value(name: string, labels?: Readonly<Record<string, string>>): number;
  /** Returns the sum over all series of the name. */
  sum(name: string): number;
  /** Returns all values of a label, sorted. */
  labelValues(name: string, label: string): string[];
}

/** Returns the present response of GET /metrics. */
export async function readMetrics(hangupUrl: string): Promise<ScrapedMetrics> {
  return parseMetrics(await (await fetch(`${hangupUrl}/metrics`)).text());
}

/** Parses Prometheus's text format; throws at a line that is not a sample. */
export function parseMetrics(text: string): ScrapedMetrics {
  const samples = text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map(readSample);
  const of = (name: string) => {
    const found = samples.filter((sample) => sample.name === name);
    if (found.length === 0) throw new Error(`/metrics has no ${name}`);
    return found;
  };
  return {
    samples,
    has: (name) => samples.some((sample) => sample.name === name),
    value(name, labels = {}) {
      const wanted = canonical(labels);
      const found = of(name).find((sample) => canonical(sample.labels) === wanted);
      if (found === undefined) throw new Error(`/metrics has no ${name}${wanted}`);
      return found.value;
    },
    sum: (name) => of(name).reduce((sum, { value }) => sum + value, 0),
    labelValues: (name, label) =>
      of(name)
        .flatMap(({ labels }) => labels[label] ?? [])
        .sort(),
  };
}

function readSample(line: string): Sample {
  const [, name = '', inside = '', value = ''] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
  const pairs = [...inside.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"(?:,|$)/g)];
  if (name === '' || pairs.map(([pair]) => pair).join('') !== inside) throw new Error(`no sample: ${line}`);
  return {
    name,
    labels: Object.fromEntries(pairs.map(([, label = '', text = '']) => [label, text])),
    value: Number(value.replace('Inf', 'Infinity')),
  };
}

function canonical(labels: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(labels).sort());
}

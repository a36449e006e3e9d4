import { Counter, Gauge, type Metric, Registry, type RegistryContentType } from "prom-client";

/** What the documentation says of a metric. */
interface Described {
  name: string;
  help: string;
  labels?: readonly string[];
}

/** The values of a metric's labels, in the order of their names. */
type LabelValues = readonly string[];

/** A value with those of its labels. */
export type Reading = readonly [value: number, ...labels: string[]];

/** A metric with labels. Each combination of their values has a cell, which is made once. */
interface Labelled<Cell> {
  labels(...values: string[]): Cell;
}

export type Meters = ReturnType<typeof createMeters>;

/**
 * Creates metrics and shows them in both text formats of Prometheus: 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/) and OpenMetrics
 * (https://prometheus.io/docs/specs/om/open_metrics_spec/). Counters and histograms count in plain numbers, and
 * prom-client reads them: its own make and check a key of all labels each time, which is ten times as slow.
 */
export function createMeters() {
  const plain = new Registry();
  const open = new Registry();
  (open as Registry<RegistryContentType>).setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  const registries = [plain, open];
  const all: Described[] = [];

  /** A counter whose values are read when it is shown. */
  function readCounter(described: Described & { read(): Iterable<Reading> }): void {
    const { name, help, labels = [], read } = described;
    all.push(described);
    // prom-client renames a counter when it shows it as OpenMetrics, so each registry has its own.
    for (const registry of registries) {
      new Counter({
        name,
        help,
        labelNames: labels,
        registers: [registry],
        collect() {
          this.reset();
          for (const [value, ...values] of read()) this.inc(labelled(labels, values), value);
        },
      });
    }
  }

  return {
    /** All metrics, in the order of their creation. */
    all: all as readonly Described[],
    readCounter,
    /** A counter. The named series exist from the start, so that a rate sees their first step. */
    counter(described: Described & { series?: readonly LabelValues[] }): Labelled<{ inc(): void }> {
      const { labels = [], series = labels.length === 0 ? [[]] : [] } = described;
      const cells = createCells(() => {
        const cell = {
          count: 0,
          inc() {
            cell.count++;
          },
        };
        return cell;
      });
      for (const values of series) cells.labels(...values);
      readCounter({
        ...described,
        *read() {
          for (const [values, { count }] of cells.all()) yield [count, ...values];
        },
      });
      return cells;
    },
    /** A gauge whose values are read when it is shown. */
    gauge(described: Described & { read(): Iterable<Reading> | Promise<Iterable<Reading>> }): void {
      const { name, help, labels = [], read } = described;
      all.push(described);
      new Gauge({
        name,
        help,
        labelNames: labels,
        registers: registries,
        async collect() {
          const readings = await read();
          this.reset();
          for (const [value, ...values] of readings) this.set(labelled(labels, values), value);
        },
      });
    },
    /** A histogram. `buckets` are the upper bounds, ascending. */
    histogram(described: Described & { buckets: readonly number[] }): Labelled<{ observe(value: number): void }> {
      const { name, help, labels = [], buckets } = described;
      all.push(described);
      const cells = createCells(() => createHistogramCell(buckets));
      const type = "histogram";
      const get = async () => {
        const values = [...cells.all()].flatMap(([values, cell]) => cell.read(name, labelled(labels, values)));
        return { name, help, type, values, aggregator: "sum" };
      };
      // A registry reads a metric by its name, its type and `get`.
      for (const registry of registries) registry.registerMetric({ name, help, type, get } as unknown as Metric);
      return cells;
    },
    /** All metrics as text, in the format that the Accept header prefers. */
    async show(accept = ""): Promise<{ type: string; text: string }> {
      const registry = /application\/openmetrics-text/i.test(accept) ? open : plain;
      return { type: registry.contentType, text: await registry.metrics() };
    },
  };
}

function createCells<Cell>(create: () => Cell): Labelled<Cell> & { all(): Iterable<[LabelValues, Cell]> } {
  const cells = new Map<string, [LabelValues, Cell]>();
  return {
    labels(...values) {
      const key = values.length === 1 ? (values[0] as string) : values.join("\0");
      let found = cells.get(key);
      if (!found) {
        found = [values, create()];
        cells.set(key, found);
      }
      return found[1];
    },
    all: () => cells.values(),
  };
}

function createHistogramCell(buckets: readonly number[]) {
  /** The number of values by bucket; the last one has no bound. */
  const counts = new Float64Array(buckets.length + 1);
  let sum = 0;
  return {
    observe(value: number) {
      let place = 0;
      while (place < buckets.length && value > (buckets[place] as number)) place++;
      (counts[place] as number)++;
      sum += value;
    },
    /** The series of the cell, as prom-client shows them. */
    read(name: string, labels: Record<string, string>) {
      let count = 0;
      const bounds = [...buckets.map(String), "+Inf"];
      const series = bounds.map((le, place) => {
        count += counts[place] as number;
        return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count };
      });
      const rest = { sum, count };
      return [
        ...series,
        ...Object.entries(rest).map(([part, value]) => ({ metricName: `${name}_${part}`, labels, value })),
      ];
    },
  };
}

function labelled(names: readonly string[], values: LabelValues): Record<string, string> {
  return Object.fromEntries(names.map((name, place) => [name, values[place] as string]));
}

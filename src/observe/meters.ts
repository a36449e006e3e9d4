import { Counter, Gauge, Histogram, Registry, type RegistryContentType } from "prom-client";

/** What the documentation says of a metric. */
interface Described {
  name: string;
  help: string;
  labels?: readonly string[];
}

/** A value with those of its labels, in the order of the labels. */
export type Reading = readonly [value: number, ...labels: string[]];

export type Meters = ReturnType<typeof createMeters>;

/**
 * Creates metrics and shows them in both text formats of Prometheus: 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/) and OpenMetrics
 * (https://prometheus.io/docs/specs/om/open_metrics_spec/).
 */
export function createMeters() {
  const plain = new Registry();
  const open = new Registry();
  (open as Registry<RegistryContentType>).setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  const registries = [plain, open];
  const all: Described[] = [];

  function labelled(names: readonly string[], values: readonly string[]): Record<string, string> {
    return Object.fromEntries(names.map((name, place) => [name, values[place] as string]));
  }

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
    /**
     * A counter. The returned function counts one more, with the values of the labels. The named series exist from the
     * start, so that a rate sees their first step.
     */
    counter(described: Described & { series?: readonly (readonly string[])[] }): (...labels: string[]) => void {
      const { labels = [], series = labels.length === 0 ? [[]] : [] } = described;
      const counts = new Map<string, { count: number; labels: string[] }>();
      const countOf = (values: string[]) => {
        // Much cheaper than a Counter of prom-client, which makes and checks an object of labels at each call.
        const key = values.length === 1 ? (values[0] as string) : values.join("\0");
        let found = counts.get(key);
        if (!found) {
          found = { count: 0, labels: values };
          counts.set(key, found);
        }
        return found;
      };
      for (const values of series) countOf([...values]);
      readCounter({
        ...described,
        *read() {
          for (const { count, labels: values } of counts.values()) yield [count, ...values];
        },
      });
      return (...values) => {
        countOf(values).count++;
      };
    },
    /** A gauge whose values are read when it is shown. */
    gauge(described: Described & { read(): Iterable<Reading> }): void {
      const { name, help, labels = [], read } = described;
      all.push(described);
      new Gauge({
        name,
        help,
        labelNames: labels,
        registers: registries,
        collect() {
          this.reset();
          for (const [value, ...values] of read()) this.set(labelled(labels, values), value);
        },
      });
    },
    /** A histogram. `buckets` are the upper bounds. The returned function observes a value. */
    histogram(described: Described & { buckets: number[] }): (value: number, ...labels: string[]) => void {
      const { name, help, labels = [], buckets } = described;
      all.push(described);
      const histogram = new Histogram({ name, help, labelNames: labels, buckets, registers: registries });
      return (value, ...values) => histogram.observe(labelled(labels, values), value);
    },
    /** All metrics as text, in the format that the Accept header prefers. */
    async show(accept = ""): Promise<{ type: string; text: string }> {
      const registry = /application\/openmetrics-text/i.test(accept) ? open : plain;
      return { type: registry.contentType, text: await registry.metrics() };
    },
  };
}

export function quantile(values: readonly number[], q: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * q)] as number;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Times in milliseconds, for people. */
export function show(times: readonly number[]): string {
  return `p50 ${median(times).toFixed(2)} ms, p99 ${quantile(times, 0.99).toFixed(2)} ms`;
}

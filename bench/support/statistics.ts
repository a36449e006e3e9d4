export function quantile(values: Float64Array | readonly number[], q: number): number {
  return Float64Array.from(values).sort()[Math.floor(values.length * q)] as number;
}

export function median(values: Float64Array | readonly number[]): number {
  return quantile(values, 0.5);
}

/** Times in milliseconds, for people. */
export function show(times: readonly number[]): string {
  return `p50 ${median(times).toFixed(2)} ms, p99 ${quantile(times, 0.99).toFixed(2)} ms`;
}

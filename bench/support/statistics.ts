export function quantile(values: Float64Array | readonly number[], q: number): number {
  return Float64Array.from(values).sort()[Math.floor(values.length * q)] as number;
}

export function median(values: Float64Array | readonly number[]): number {
  return quantile(values, 0.5);
}

export function spread(values: readonly number[]): string {
  return `${show(Math.min(...values))} to ${show(Math.max(...values))}`;
}

/** Three significant digits. */
export function show(value: number): string {
  return value >= 1_000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}

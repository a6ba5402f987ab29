/**
 * Mean and standard deviation over seeds.
 *
 * @module
 */

/** A mean and a standard deviation (of the sample; 0 for one value). */
export interface Spread {
  readonly mean: number;
  readonly std: number;
}

/** Mean and standard deviation of values; at least one. */
export function spread(values: readonly number[]): Spread {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, std: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : 0 };
}

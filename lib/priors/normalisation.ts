/**
 * Whether the rows of a released covmat are deviations or deviations over sqrt(K - 1): its files do not say, and
 * readers of the original have taken them for both.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import type { Swag } from "./swag.ts";

/** `raw`: plain deviations; `normalised`: over sqrt(K - 1), as {@linkcode Swag} has them. */
export type RowScaling = "raw" | "normalised";

/** Most that the sum of squares over the variance may be off its expected value by, as a factor. */
const WIDEST = 2;

/** Parameters whose ratio is looked at, evenly spread: a median of so many is good to 1 %. */
const LOOKED_AT = 2 ** 16;

/** Median over parameters of the rows' sum of squares over the variance; NaN where no variance can be used. */
function medianRatio({ variance, covFactor }: Swag): number {
  // Variances at the clamp are no estimates; where nothing was clamped this leaves out one parameter.
  const least = variance.reduce((a, b) => Math.min(a, b), Infinity);
  const usable = variance.reduce((count, value) => count + (value > least ? 1 : 0), 0);
  const stride = Math.ceil(usable / LOOKED_AT);
  const ratios = new Float64Array(Math.ceil(usable / stride));
  let seen = 0;
  variance.forEach((value, p) => {
    if (value <= least || seen++ % stride !== 0) return;
    ratios[(seen - 1) / stride] = covFactor.reduce((sum, row) => sum + row[p] * row[p], 0) / value;
  });
  ratios.sort();
  return ratios.length === 0 ? NaN : ratios[ratios.length >> 1];
}

/**
 * What the numbers say: the sum of the squared rows is about the variance where they are normalised, and K - 1 times it
 * where they are not. Throws `FormatError` where it is near neither; the message names the flag that decides.
 */
export function detectNormalisation(swag: Swag): RowScaling {
  const rows = swag.covFactor.length;
  // One row has no K - 1, and with two it is 1: nothing to tell apart.
  if (rows < 3) return "normalised";
  const ratio = medianRatio(swag);
  const within = Math.min(WIDEST, Math.cbrt(rows - 1));
  const near = (value: number) => value > 1 / within && value < within;
  if (near(ratio)) return "normalised";
  if (near(ratio / (rows - 1))) return "raw";
  throw new FormatError(
    `the rows of the covariance factor may or may not be divided by sqrt(K - 1): their sum of squares is ` +
      `${ratio.toPrecision(3)} times the variance (median), where 1 means that they are and ${
        rows - 1
      } that they are ` +
      "not; say which with --prior-normalisation raw|normalised",
  );
}

/**
 * The rows over sqrt(K - 1), K being the number of rows that are not zero: the first deviation of SWAG is zero by
 * construction, and the original keeps it where nothing was evicted.
 *
 * @param inPlace write them over the rows given: the largest priors do not fit twice
 */
export function covFactorOf(
  swag: Swag,
  normalisation: RowScaling = detectNormalisation(swag),
  inPlace = false,
): Float32Array[] {
  const total = swag.covFactor.length;
  const rows = swag.covFactor.filter((row, k) => k > 0 || row.some((value) => value !== 0));
  const stated = normalisation === "raw" ? 1 : Math.max(1, total - 1);
  const scale = Math.sqrt(stated / Math.max(1, rows.length - 1));
  const result = inPlace ? rows : rows.map((row) => row.slice());
  if (scale === 1) return result;
  for (const row of result) {
    for (let p = 0; p < row.length; p++) row[p] *= scale;
  }
  return result;
}

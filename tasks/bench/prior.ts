/**
 * A learned prior as it comes from SWAG, without learning it: the bench measures time.
 *
 * @module
 */

import { type Gaussian, shiftedGaussian } from "../../lib/priors/gaussian.ts";
import { someNumbers } from "./operation.ts";

/**
 * A prior about given weights (or zero), with `rank` rows and a diagonal of the rows' size.
 *
 * @param scale lambda
 */
export function randomPrior(count: number, rank: number, scale: number, mean = new Float32Array(count)): Gaussian {
  const deviation = (row: number) => someNumbers(count, 100 + row).map((value) => 0.01 * value);
  const swag = {
    mean,
    variance: new Float32Array(count).fill(1e-5),
    covFactor: Array.from({ length: rank }, (_, row) => deviation(row)),
  };
  return shiftedGaussian(swag, { scale, eps: 1e-6 });
}

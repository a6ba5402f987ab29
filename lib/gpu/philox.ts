/**
 * The text of `philox4x32` (`lib/random/philox.ts`) and of normal numbers for kernels.
 *
 * @module
 */

import multiplyHigh from "../../kernels/multiply_high.wgsl" with { type: "text" };
import multiplyHighWide from "../../kernels/multiply_high_wide.wgsl" with { type: "text" };
import philox from "../../kernels/philox.wgsl" with { type: "text" };
import type { Gpu } from "./device.ts";

/** Philox as this device computes it most quickly. The bits are the same on every device. */
export function philoxSource({ wideIntegers }: Pick<Gpu, "wideIntegers">): string {
  return (wideIntegers ? multiplyHighWide : multiplyHigh) + philox;
}

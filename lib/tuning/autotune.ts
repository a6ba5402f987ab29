/**
 * Searching on a device.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import type { TuningTable } from "../gpu/tuning_table.ts";
import { LaunchClock } from "./launch_clock.ts";
import { DeviceProductBench } from "./product_bench.ts";
import type { ProductClass } from "./products.ts";
import { search, type SearchOptions, type SearchResult } from "./search.ts";

/** Seconds that a search may take unless told otherwise: a GPU's kernels are short, a CPU's long. */
export function defaultSeconds({ adapter }: Gpu): number {
  return adapter.isCpu ? 120 : 5;
}

/** How to search on a device. */
export interface AutotuneOptions extends Partial<SearchOptions> {
  /** What is known already: these products are not searched again. */
  readonly known?: TuningTable;
}

/**
 * Searches those of the products that are not known, and lets the device use what was found and what was known.
 * The budget is {@linkcode defaultSeconds} unless given. Waits for the device.
 */
export async function autotune(
  gpu: Gpu,
  products: readonly ProductClass[],
  options: AutotuneOptions = {},
): Promise<SearchResult> {
  const { known = {}, seconds = defaultSeconds(gpu) } = options;
  const unknown = products.filter(({ shapeClass }) => !Object.hasOwn(known, shapeClass));
  const clock = new LaunchClock(gpu);
  try {
    const open = (product: ProductClass) => DeviceProductBench.open(gpu, product, clock);
    const result = await gpu.forgettingPipelines(() => search(unknown, open, { ...options, seconds }));
    const table = { ...known, ...result.table };
    gpu.tuning = table;
    return { ...result, table };
  } finally {
    clock.destroy();
  }
}

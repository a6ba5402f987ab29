/**
 * Which way of computing each matrix product of a training step is the fastest here.
 *
 * @module
 */

import { classifierProducts } from "../../lib/inference/autotune.ts";
import { autotune } from "../../lib/tuning/autotune.ts";
import { configOf, makeProblem } from "./problem.ts";
import type { Context } from "./section.ts";
import { sizeOf } from "./steps.ts";
import type { Cell, Table } from "./table.ts";

/** Enough for all products of the networks. */
const SECONDS = 600;

/** The section. The other sections keep the defaults. */
export async function tuning({ gpu, batches, log }: Context): Promise<Table[]> {
  const rows: Cell[][] = [];
  for (const [encoder, sizes] of batches) {
    for (const batch of sizes) {
      log(`tuning: ${encoder}, batch ${batch}`);
      const products = classifierProducts(gpu, configOf(makeProblem(encoder, batch, sizeOf(encoder))), batch);
      const found = await autotune(gpu, products, { seconds: SECONDS });
      gpu.tuning = {};
      for (const { shapeClass, count, usual, usualTime, chosen, chosenTime, tried, rejected } of found.rows) {
        rows.push([encoder, shapeClass, count, usual, usualTime, chosen, chosenTime, tried, rejected.length]);
      }
    }
  }
  return [{
    title: "Ways to compute matrix products",
    note: "Milliseconds on the device of the default way and of the one to use: another only where it saves 5 %.",
    columns: ["network", "product", "count", "default", "ms", "to use", "its ms", "tried", "rejected"],
    rows,
  }];
}

/**
 * Tuning for a classifier: the matrix products of its training step, whose forward pass is that of its evaluation.
 *
 * @module
 */

import type { Gpu } from "../gpu/device.ts";
import { lowerBackward, lowerForward } from "../graph/graph.ts";
import { buildClassifier, type ClassifierConfig } from "../models/classifier.ts";
import { targetOf } from "../ops/operation.ts";
import { autotune, type AutotuneOptions } from "../tuning/autotune.ts";
import { collectProducts, type ProductClass } from "../tuning/products.ts";
import type { SearchResult } from "../tuning/search.ts";

/** The products of a training step for batches of one size; allocates nothing. */
export function classifierProducts(gpu: Gpu, config: ClassifierConfig, batchSize: number): ProductClass[] {
  const { graph } = buildClassifier(config, batchSize);
  return collectProducts(targetOf(gpu, { training: true }), (target) => {
    lowerForward(graph, target);
    lowerBackward(graph, target);
  });
}

/**
 * Finds the fastest way to compute each matrix product of a classifier's training step on this device, and uses it for
 * what is compiled from now on; see {@linkcode Gpu.tuning}. Bits differ from those of the defaults: keep the table that
 * is returned, and give it to `openGpu` to repeat a run.
 */
export function autotuneClassifier(
  gpu: Gpu,
  config: ClassifierConfig,
  batchSize: number,
  options: AutotuneOptions = {},
): Promise<SearchResult> {
  return autotune(gpu, classifierProducts(gpu, config, batchSize), options);
}

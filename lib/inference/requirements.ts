/**
 * What images and batches must be for a network to take them.
 *
 * @module
 */

import type { ImageSource } from "../data/dataset.ts";
import type { ClassifierConfig } from "../models/classifier.ts";

/**
 * Refuses images that the network does not take.
 *
 * @throws TypeError where they have another size
 */
export function requireSize(set: ImageSource, { height, width }: Pick<ClassifierConfig, "height" | "width">): void {
  if (set.height === height && set.width === width) return;
  throw new TypeError(
    `Cannot use ${set.name}: its images are ${set.height}x${set.width}, but the network takes ${height}x${width}`,
  );
}

/**
 * Refuses images and labels that a classifier cannot learn from.
 *
 * @throws TypeError where the images have another size
 * @throws RangeError where a label is none of the classes
 */
export function requireTrainable(set: ImageSource, config: ClassifierConfig): void {
  requireSize(set, config);
  const wrong = set.labels.findIndex((label) => label >= config.numClasses);
  if (wrong < 0) return;
  throw new RangeError(
    `Cannot train on ${set.name}: the label of example ${wrong} is ${set.labels[wrong]}, but the network has ` +
      `${config.numClasses} classes`,
  );
}

/**
 * Refuses a number of examples at a time that is none.
 *
 * @throws RangeError where it is not a positive whole number
 */
export function requireBatchSize(batchSize: number): void {
  if (Number.isInteger(batchSize) && batchSize > 0) return;
  throw new RangeError(`Cannot make batches of ${batchSize} examples: a positive whole number is required`);
}

/**
 * Parts of an image set, drawn at random by seed.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { PhiloxSequence, Stream } from "../random/philox.ts";
import { createImageSet, imageBytes, type ImageFacts, type ImageSet, type ImageSource, isStream } from "./dataset.ts";

/** Second word of the counter: what the draw is for. */
const SUBSET = 0, SPLIT = 1, SUBSET_TIES = 2, SPLIT_TIES = 3;

/** Indices of the two parts of a set, ascending. */
export interface Split {
  /** Examples to train on. */
  readonly train: Uint32Array;
  /** Examples to validate on. */
  readonly val: Uint32Array;
}

/**
 * Draws `count` examples, balanced over the classes: the classes' counts differ by at most 1 (which classes have one
 * more is drawn too). With the same seed, a class's examples in a smaller subset are among those in a larger one.
 *
 * @returns indices, ascending
 * @throws {RangeError} if `count` is not a positive whole number or a class has too few examples
 */
export function balancedSubset(set: ImageFacts, count: number, seed: number): Uint32Array {
  if (!Number.isInteger(count) || count < 1) {
    throw new RangeError(`Cannot draw ${count} examples of ${set.name}: a positive whole number is required`);
  }
  const members = shuffledMembers(set, seed, SUBSET);
  const base = Math.floor(count / members.length);
  const extra = shuffledClasses(members.length, seed, SUBSET_TIES).slice(0, count % members.length);
  const chosen = members.flatMap((indices, label) => {
    const wanted = base + (extra.includes(label) ? 1 : 0);
    if (indices.length < wanted) {
      throw new RangeError(
        `Cannot draw ${count} examples of ${set.name} balanced over ${members.length} classes: ` +
          `class "${set.classNames[label]}" has ${indices.length}, ${wanted} are required`,
      );
    }
    return indices.slice(0, wanted);
  });
  return Uint32Array.from(chosen).sort();
}

/**
 * Splits a set in two, stratified: validation gets `fraction` of the examples, of every class its share (rounded by
 * largest remainders, ties drawn).
 *
 * @param fraction share of the validation part, between 0 and 1
 * @throws {RangeError} if a part would be empty
 */
export function splitTrainVal(set: ImageFacts, fraction: number, seed: number): Split {
  const total = Math.round(fraction * set.labels.length);
  if (!(fraction > 0 && fraction < 1) || total < 1 || total >= set.labels.length) {
    throw new RangeError(
      `Cannot split ${set.labels.length} examples of ${set.name} with a validation fraction of ${fraction}: ` +
        `a fraction between 0 and 1 that leaves both parts an example is required`,
    );
  }
  const members = shuffledMembers(set, seed, SPLIT);
  const shares = apportion(members.map((indices) => indices.length), total, seed);
  return {
    train: Uint32Array.from(members.flatMap((indices, label) => indices.slice(shares[label]))).sort(),
    val: Uint32Array.from(members.flatMap((indices, label) => indices.slice(0, shares[label]))).sort(),
  };
}

/**
 * The examples at `indices`, in that order.
 *
 * @throws {RangeError} if an index is out of range
 */
export function takeExamples<S extends ImageSource>(set: S, indices: ArrayLike<number>): S;
export function takeExamples(set: ImageSource, indices: ArrayLike<number>): ImageSource {
  const chosen = Uint32Array.from(indices);
  for (let target = 0; target < indices.length; target++) {
    if (indices[target] >= 0 && indices[target] < set.labels.length) continue;
    throw new RangeError(
      `Cannot take example ${indices[target]} of ${set.name}: it has ${set.labels.length} examples`,
    );
  }
  const labels = chosen.map((index) => set.labels[index]);
  if (!isStream(set)) {
    const { name, height, width, classNames } = set;
    return createImageSet({ name, height, width, classNames, labels, images: takeImages(set, chosen) });
  }
  const hash = createHash("sha256").update(set.hash).update(chosen.join()).digest("hex");
  const whole = set.whole && { ...set.whole, images: takeImages(set.whole, chosen) };
  return { ...set, labels, hash, locate: (example) => set.locate(chosen[example]), whole };
}

function takeImages(
  { images, height, width }: Pick<ImageSet, "images" | "height" | "width">,
  indices: Uint32Array,
): Uint8Array {
  const size = imageBytes(1, height, width), taken = new Uint8Array(indices.length * size);
  indices.forEach((index, target) => taken.set(images.subarray(index * size, (index + 1) * size), target * size));
  return taken;
}

/** For each class its examples, in a random order that depends on the seed, the class and the purpose only. */
function shuffledMembers(set: ImageFacts, seed: number, purpose: number): number[][] {
  const members: number[][] = set.classNames.map(() => []);
  set.labels.forEach((label, index) => members[label].push(index));
  return members.map((indices, label) => new PhiloxSequence(seed, Stream.subset, purpose, label).shuffle(indices));
}

function shuffledClasses(classes: number, seed: number, purpose: number): number[] {
  return new PhiloxSequence(seed, Stream.subset, purpose).shuffle(Array.from({ length: classes }, (_, label) => label));
}

/** Whole shares of `total`, proportional to `sizes`, by largest remainders. */
function apportion(sizes: readonly number[], total: number, seed: number): number[] {
  const sum = sizes.reduce((a, b) => a + b, 0);
  const exact = sizes.map((size) => size * total / sum);
  const shares = exact.map(Math.floor);
  const missing = total - shares.reduce((a, b) => a + b, 0);
  // The sort is stable: classes with equal remainders stay in their shuffled order.
  const byRemainder = shuffledClasses(sizes.length, seed, SPLIT_TIES)
    .sort((a, b) => (exact[b] - shares[b]) - (exact[a] - shares[a]));
  for (const label of byRemainder.slice(0, missing)) shares[label]++;
  return shares;
}

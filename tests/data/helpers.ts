/** What the tests of lib/data share. */

import { fromFileUrl } from "@std/path";
import { type Augmentation, AUGMENTATIONS, type ImageSize, preparedSize } from "../../lib/data/augment.ts";
import { PLACEMENT_PARAMETERS } from "../../lib/data/augmentation/placements.ts";
import { type BatchOptions, deviceAugmentation, type TrainingBatch } from "../../lib/data/training_batches.ts";
import { createImageSet, imageBytes, type ImageSet, type ImageStream } from "../../lib/data/dataset.ts";
import { Renderer } from "../../lib/data/render.ts";
import { augmentPrepared } from "../reference/place_image.ts";
import { resizeImage, type RgbImage } from "../../lib/data/resize.ts";

/** A file or folder of `tests/fixtures/data_images`. */
export function fixture(name: string): string {
  return fromFileUrl(new URL(`../fixtures/data_images/${name}`, import.meta.url));
}

/** Bytes of a fixture. */
export function readFixture(name: string): Uint8Array<ArrayBuffer> {
  return Deno.readFileSync(fixture(name));
}

/** Path of a folder of the real data beside the project, and whether it is there. */
export function sharedData(name: string): { path: string; present: boolean } {
  const path = fromFileUrl(new URL(`../../../shared/data/${name}`, import.meta.url));
  try {
    return { path, present: Deno.statSync(path).isDirectory };
  } catch {
    return { path, present: false };
  }
}

/** A set of 2 x 3 images whose bytes all carry their example's index (from 1 on). */
export function countingSet(labels: readonly number[], classes: number): ImageSet {
  return createImageSet({
    name: "counting",
    height: 2,
    width: 3,
    classNames: Array.from({ length: classes }, (_, label) => `class ${label}`),
    labels: Uint32Array.from(labels),
    images: Uint8Array.from({ length: labels.length * 18 }, (_, index) => Math.floor(index / 18) + 1),
  });
}

/** An image of the final size, prepared for its augmentation. */
export function prepared(image: RgbImage, augmentation: Augmentation): RgbImage {
  const size = preparedSize(image, augmentation);
  return { ...size, rgb: resizeImage(image, size.width, size.height) };
}

/** The images of a batch whose augmentation was left to the device. */
export function augmentedOnHost(
  size: ImageSize,
  { images, examples, epoch }: TrainingBatch,
  { seed, augmentation = AUGMENTATIONS.none }: BatchOptions,
): Uint8Array {
  const out = new Uint8Array(images.length), bytes = size.height * size.width * 3;
  examples.forEach((example, row) => {
    const rgb = images.subarray(row * bytes, (row + 1) * bytes);
    const image = prepared({ height: size.height, width: size.width, rgb }, augmentation);
    augmentPrepared(image, size, augmentation, { seed, epoch, example }, out, row * bytes);
  });
  return out;
}

/** A stream's examples as they go to the device, at one draw, and how many files were decoded for them. */
export async function renderAll(
  stream: ImageStream,
  augmentation: Augmentation,
  { threads, epoch = 1 }: { readonly threads: number; readonly epoch?: number },
): Promise<{ pixels: Uint8Array; placements: Float32Array; decoded: number }> {
  using renderer = new Renderer(stream, threads);
  const { sourceSize = stream } = deviceAugmentation(stream, augmentation), count = stream.labels.length;
  const images = new Uint8Array(imageBytes(count, sourceSize.height, sourceSize.width));
  const placements = new Float32Array(count * PLACEMENT_PARAMETERS);
  const keys = Array.from({ length: count }, (_, example) => ({ seed: 3, epoch, example }));
  const bytes = await renderer.render(keys, augmentation, { images, placements });
  return { pixels: images.subarray(0, bytes), placements, decoded: renderer.decoded };
}

/** Runs `body` in a temporary folder that is removed afterwards. */
export async function inTemporaryFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

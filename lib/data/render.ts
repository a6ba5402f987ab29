/**
 * Examples of a stream as pixels: read, decoded, fitted and augmented.
 *
 * @module
 */

import { type Augmentation, type AugmentationKey, AUGMENTATIONS, fitAndAugment } from "./augment.ts";
import {
  allocateImages,
  createImageSet,
  imageBytes,
  type ImageLocation,
  type ImageSet,
  type ImageStream,
} from "./dataset.ts";
import { decodeImage } from "./decode.ts";
import type { Fit } from "./fit.ts";
import { columnsToRgb, readRange } from "./planes.ts";
import type { RgbImage } from "./resize.ts";

/** What makes an example's pixels, wherever it runs. */
export interface RenderJob {
  /** Where the whole image is. */
  readonly location: ImageLocation;
  /** What size it gets. */
  readonly fit: Fit;
  /** What is done to it. */
  readonly augmentation: Augmentation;
  /** Which draw of the augmentation. */
  readonly key: AugmentationKey;
}

/** Makes examples' pixels. */
export interface Renderer extends Disposable {
  /**
   * Writes examples into `out`, `[keys.length, size, size, 3]`, in order.
   *
   * @throws {FormatError} if an image cannot be decoded
   */
  render(
    stream: ImageStream,
    keys: readonly AugmentationKey[],
    augmentation: Augmentation,
    out: Uint8Array,
  ): Promise<void>;
}

/** The whole image at a location. */
export async function readImage(location: ImageLocation): Promise<RgbImage> {
  switch (location.kind) {
    case "pixels":
      return location.image;
    case "file":
      return await decodeImage(await Deno.readFile(location.path), location.path);
    case "columns": {
      const { path, offset, height, width } = location;
      return columnsToRgb(await readRange(path, offset, imageBytes(1, height, width)), height, width);
    }
  }
}

/** Carries out a job, into `out` from `offset` on. */
export async function renderJob(job: RenderJob, out: Uint8Array, offset: number): Promise<void> {
  fitAndAugment(await readImage(job.location), job.fit, job.augmentation, job.key, out, offset);
}

/** A renderer; dispose of it after use. */
export function openRenderer(): Renderer {
  return {
    async render(stream, keys, augmentation, out) {
      const size = imageBytes(1, stream.height, stream.width);
      for (const [row, key] of keys.entries()) {
        const job = { location: stream.locate(key.example), fit: stream.fit, augmentation, key };
        await renderJob(job, out, row * size);
      }
    },
    [Symbol.dispose]() {},
  };
}

/**
 * All examples of a stream, fitted, in memory.
 *
 * @throws {RangeError} if the images would take more memory than allowed
 */
export async function holdStream(stream: ImageStream, memoryLimit?: number): Promise<ImageSet> {
  const { name, height, width, classNames, labels } = stream;
  const images = allocateImages(name, labels.length, height, width, memoryLimit);
  using renderer = openRenderer();
  const keys = Array.from(labels, (_, example) => ({ seed: 0, epoch: 0, example }));
  await renderer.render(stream, keys, AUGMENTATIONS.none, images);
  return createImageSet({ name, height, width, classNames, labels, images });
}

/**
 * One example's pixels: read, decoded, fitted and augmented, on any thread.
 *
 * @module
 */

import { type Augmentation, type AugmentationKey, fitAndAugment } from "./augment.ts";
import { imageBytes, type ImageLocation } from "./dataset.ts";
import { decodeImage } from "./decode.ts";
import type { Fit } from "./fit.ts";
import { columnsToRgb, readRange } from "./planes.ts";
import type { RgbImage } from "./resize.ts";

/** What makes an example's pixels: plain data. */
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

/** Carries out a job, into `out` from `offset` on. */
export async function renderJob(job: RenderJob, out: Uint8Array, offset: number): Promise<void> {
  fitAndAugment(await readImage(job.location), job.fit, job.augmentation, job.key, out, offset);
}

async function readImage(location: ImageLocation): Promise<RgbImage> {
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

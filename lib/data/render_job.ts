/**
 * One example's pixels: read, decoded, fitted and augmented, on any thread.
 *
 * @module
 */

import { type Augmentation, type AugmentationKey, preparationOf } from "./augment.ts";
import { imageBytes, type ImageLocation } from "./dataset.ts";
import { decodeImage } from "./decode.ts";
import type { Fit } from "./fit.ts";
import { formatEntry, parseEntry, type PixelCache, pixelKey } from "./pixel_cache.ts";
import { augmentPrepared, prepareImage } from "./place_image.ts";
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

/**
 * Carries out a job, into `out` from `offset` on.
 *
 * @param cache where decoded files are kept, if anywhere; the pixels do not depend on it
 * @returns whether a file was decoded
 */
export async function renderJob(
  { location, fit, augmentation, key }: RenderJob,
  out: Uint8Array,
  offset: number,
  cache?: PixelCache,
): Promise<boolean> {
  const preparation = preparationOf(fit, augmentation);
  const { image, decoded } = await readPrepared(location, preparation, cache);
  augmentPrepared(image, { height: fit.size, width: fit.size }, augmentation, key, out, offset);
  return decoded;
}

async function readPrepared(
  location: ImageLocation,
  preparation: Fit | undefined,
  cache: PixelCache | undefined,
): Promise<{ image: RgbImage; decoded: boolean }> {
  switch (location.kind) {
    case "pixels":
      return { image: prepareImage(location.image, preparation), decoded: false };
    case "columns": {
      const { path, offset, height, width } = location;
      const planes = await readRange(path, offset, imageBytes(1, height, width));
      return { image: prepareImage(columnsToRgb(planes, height, width), preparation), decoded: false };
    }
    case "file":
      return await readFile(location.path, preparation, cache);
  }
}

async function readFile(
  path: string,
  preparation: Fit | undefined,
  cache: PixelCache | undefined,
): Promise<{ image: RgbImage; decoded: boolean }> {
  const bytes = await Deno.readFile(path);
  const decode = async () => prepareImage(await decodeImage(bytes, path), preparation);
  if (cache === undefined) return { image: await decode(), decoded: true };
  const key = pixelKey(bytes, preparation);
  const entry = cache.read(key);
  const kept = entry && parseEntry(key, entry);
  if (kept !== undefined) return { image: kept, decoded: false };
  const image = await decode();
  cache.write(key, formatEntry(key, image));
  return { image, decoded: true };
}

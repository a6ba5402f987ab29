/**
 * One example's pixels as they go to the device: read, decoded, and fitted or cut out, on any thread. What is drawn for
 * them is a function of the job alone.
 *
 * @module
 */

import { type Augmentation, type AugmentationKey, drawPlacement, type Placement, preparationOf } from "./augment.ts";
import { cutBox } from "./cut_box.ts";
import { imageBytes, type ImageLocation } from "./dataset.ts";
import { decodeImage } from "./decode.ts";
import { type Fit, fitImage } from "./fit.ts";
import { formatEntry, parseEntry, type PixelCache, pixelKey } from "./pixel_cache.ts";
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

/** What a job makes: plain data. */
export interface Rendered {
  /** The prepared image, or the box that is cut out of a whole one. Its bytes are nobody else's. */
  readonly image: RgbImage;
  /** What is still to be done to it. */
  readonly placement: Placement;
  /** Whether a file was decoded for it. */
  readonly decoded: boolean;
}

/**
 * Carries out a job.
 *
 * @param cache where decoded files are kept, if anywhere; the pixels do not depend on it
 */
export async function renderJob(
  { location, fit, augmentation, key }: RenderJob,
  cache?: PixelCache,
): Promise<Rendered> {
  const { image, decoded } = await readPrepared(location, preparationOf(fit, augmentation), cache);
  const size = { height: fit.size, width: fit.size };
  const placement = drawPlacement(image, size, augmentation, key);
  const cut = augmentation.kind === "resized-crop" ? cutBox(image, size, placement) : image;
  return { image: cut, placement, decoded };
}

async function readPrepared(
  location: ImageLocation,
  preparation: Fit | undefined,
  cache: PixelCache | undefined,
): Promise<{ image: RgbImage; decoded: boolean }> {
  switch (location.kind) {
    case "pixels":
      return { image: prepare(location.image, preparation), decoded: false };
    case "columns": {
      const { path, offset, height, width } = location;
      const planes = await readRange(path, offset, imageBytes(1, height, width));
      return { image: prepare(columnsToRgb(planes, height, width), preparation), decoded: false };
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
  const decode = async () => prepare(await decodeImage(bytes, path), preparation);
  if (cache === undefined) return { image: await decode(), decoded: true };
  const key = pixelKey(bytes, preparation);
  const entry = cache.read(key);
  const kept = entry && parseEntry(key, entry);
  if (kept !== undefined) return { image: kept, decoded: false };
  const image = await decode();
  cache.write(key, formatEntry(key, image));
  return { image, decoded: true };
}

/** The image after its preparation: see {@linkcode preparationOf}. */
function prepare(image: RgbImage, preparation: Fit | undefined): RgbImage {
  if (preparation === undefined) return image;
  const { size } = preparation;
  return { height: size, width: size, rgb: fitImage(image, preparation) };
}

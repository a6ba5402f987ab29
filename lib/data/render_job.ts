/**
 * One example's pixels as they go to the device: read, decoded, and fitted or cut out, on any thread. What is drawn for
 * them is a function of the job alone.
 *
 * @module
 */

import { type Augmentation, type AugmentationKey, drawPlacement, type Placement, preparationOf } from "./augment.ts";
import { drawView, type ViewKey } from "./augmentation/draw.ts";
import type { View, ViewDraw } from "./augmentation/view.ts";
import { cutBox } from "./cut_box.ts";
import { imageBytes, type ImageLocation } from "./dataset.ts";
import { decodeImage } from "./decode.ts";
import { type Fit, fitImage } from "./fit.ts";
import { formatEntry, parseEntry, type PixelCache, pixelKey } from "./pixel_cache.ts";
import { columnsToRgb, readRange } from "./planes.ts";
import type { RgbImage } from "./resize.ts";

/** What makes an example's pixels: plain data. */
export type RenderJob = PlacementJob | ViewJob;

/** An image that is trained on or evaluated. */
export interface PlacementJob {
  /** Where the whole image is. */
  readonly location: ImageLocation;
  /** What size it gets. */
  readonly fit: Fit;
  /** What is done to it. */
  readonly augmentation: Augmentation;
  /** Which draw of the augmentation. */
  readonly key: AugmentationKey;
}

/** Views of an image, each cut out of the whole one at random. */
export interface ViewJob {
  /** Where the whole image is. */
  readonly location: ImageLocation;
  readonly views: readonly View[];
  /** Which draw of the first view; the others are numbered from there on. */
  readonly key: ViewKey;
}

/** A prepared image, or a box that is cut out of a whole one. */
export interface Piece<Draw extends Placement = Placement> {
  /** Its bytes are nobody else's. */
  readonly image: RgbImage;
  /** What is still to be done to it; its `box` is that of the whole image. */
  readonly draw: Draw;
}

/** What a job makes: plain data. */
export interface Rendered<Draw extends Placement = Placement> {
  /** One, or one for each view. */
  readonly pieces: readonly Piece<Draw>[];
  /** Whether a file was decoded for it. */
  readonly decoded: boolean;
}

/** What a job of that kind makes. */
export type RenderedOf<Job extends RenderJob> = Job extends ViewJob ? Rendered<ViewDraw> : Rendered;

/**
 * Carries out a job.
 *
 * @param cache where decoded files are kept, if anywhere; the pixels do not depend on it
 */
export async function renderJob<Job extends RenderJob>(job: Job, cache?: PixelCache): Promise<RenderedOf<Job>> {
  const preparation = "views" in job ? undefined : preparationOf(job.fit, job.augmentation);
  const { image, decoded } = await readPrepared(job.location, preparation, cache);
  const rendered: Rendered = { pieces: "views" in job ? cutViews(image, job) : [place(image, job)], decoded };
  return rendered as RenderedOf<Job>;
}

function place(image: RgbImage, { fit, augmentation, key }: PlacementJob): Piece {
  const size = { height: fit.size, width: fit.size };
  const draw = drawPlacement(image, size, augmentation, key);
  return { image: augmentation.kind === "resized-crop" ? cutBox(image, size, draw) : image, draw };
}

function cutViews(image: RgbImage, { views, key }: ViewJob): Piece<ViewDraw>[] {
  return views.map((view, index) => {
    const draw = drawView(view, image, { ...key, view: key.view + index });
    return { image: cutBox(image, view, draw, view.resize?.filter), draw };
  });
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

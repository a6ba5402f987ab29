/**
 * Augmented training images on the device: from uint8 to the first activation in one pass, or in three where they are
 * resized; each image by a placement of its own.
 *
 * @module
 */

import source from "../../kernels/place_images.wgsl" with { type: "text" };
import { loop } from "./elementwise.ts";
import { type Operation, scratch, shapeError, type Tensor } from "./operation.ts";
import { type ImageResizing, resampleImages } from "./resample_images.ts";

/** Fewest numbers that say where an image goes; see `lib/data/augmentation/placements.ts`. */
const LEAST_PARAMETERS = 17;
/** Which of them say where an image begins. */
const FIRST_BYTE = 15;

/** What the images go through; whatever differs from image to image is in the parameters. */
export interface PlaceImagesOptions {
  /** Size of the result; the images' own unless given. Another one requires a resizing or a rotation. */
  readonly size?: { readonly height: number; readonly width: number };
  /** Resizing of each image's box; absent: the window is cut out of the whole image. */
  readonly resize?: ImageResizing;
  /** The images are boxes of sizes of their own, one behind another; they require a resizing. */
  readonly packed?: boolean;
  /** Rotation about the centre of the (resized) image, nearest pixel, as Pillow does it in fixed point. */
  readonly rotate: boolean;
}

/**
 * Resizes a box of each image, turns it, cuts out a window of the result's size, flips it and normalises its bytes:
 * `byte * scale + shift` per colour.
 *
 * @param images uint8 [N, H, W, 3], four to a word; where they are packed, room for boxes of at most H x W
 * @param parameters [N, numbers of an image]: see `lib/data/augmentation/placements.ts`
 * @param colours [6]: scale of red, green, blue bytes; shift of red, green, blue
 * @returns the operation; its output is [N, height, width, 3] of the result and has no gradient
 * @throws TypeError where a shape does not fit
 */
export function placeImages(
  name: string,
  images: Tensor,
  parameters: Tensor,
  colours: Tensor,
  { size, resize, packed = false, rotate }: PlaceImagesOptions,
): Operation {
  const [n, h, w, c] = images.shape;
  const { height, width } = size ?? { height: h, width: w };
  if (images.shape.length !== 4 || c !== 3) {
    throw shapeError("placeImages", `images [${images.shape}]`, "[N, H, W, 3] is required");
  }
  if (parameters.shape.length !== 2 || parameters.shape[0] !== n || parameters.shape[1] < LEAST_PARAMETERS) {
    const required = `[${n}, at least ${LEAST_PARAMETERS}] is required`;
    throw shapeError("placeImages", `parameters [${parameters.shape}]`, required);
  }
  if (!resize && (packed || !rotate && (height !== h || width !== w))) {
    throw shapeError("placeImages", `images [${images.shape}]`, `a resizing to ${height} x ${width} is required`);
  }
  const output = scratch(name, [n, height, width, 3]);
  const resized = resize && resampleImages(name, images, parameters, resize, packed ? FIRST_BYTE : undefined);
  const [sourceH, sourceW] = resized ? resized.output.shape.slice(1) : [h, w];
  const tables = resize ? [resize.horizontal.weights, resize.vertical.weights] : [];
  return {
    kind: "placeImages",
    inputs: [images, parameters, colours, ...tables],
    output,
    forward: () => [
      ...resized?.dispatches ?? [],
      loop({
        label: name,
        source,
        count: n * height * width,
        constants: {
          PARAMETERS: parameters.shape[1],
          SOURCE_H: sourceH,
          SOURCE_W: sourceW,
          OUT_H: height,
          OUT_W: width,
          RESIZED: resize ? 1 : 0,
          ROTATE: rotate ? 1 : 0,
        },
        bindings: [resized?.output ?? images, parameters, colours, output],
      }),
    ],
    backward: () => [],
  };
}

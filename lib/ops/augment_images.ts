/**
 * Random changes of images on the device, from uint8 to the first activation: what `torchvision.transforms` does, each
 * image by parameters of its own.
 *
 * @module
 */

import augmentSource from "../../kernels/augment_images.wgsl" with { type: "text" };
import colourSource from "../../kernels/colour_jitter.wgsl" with { type: "text" };
import workgroupSumSource from "../../kernels/workgroup_sum.wgsl" with { type: "text" };
import { foldGroups, GRID_X } from "./elementwise.ts";
import { type Dispatch, type Operation, scratch, shapeError, type Tensor } from "./operation.ts";
import { type ImageResizing, resampleImages } from "./resample_images.ts";

/** Fewest numbers that say what becomes of one image; see `lib/data/augmentation/table.ts`. */
const LEAST_PARAMETERS = 23;
/** Which of them say where a box begins. */
const FIRST_BYTE = 21;

/** What the images go through; whatever differs from image to image is in the parameters. */
export interface AugmentImagesOptions {
  /** Size of the results. */
  readonly height: number;
  readonly width: number;
  /** Resizing of each image's box; absent: the window is cut out of the whole image. */
  readonly resize?: ImageResizing;
  /** The images are boxes of sizes of their own, one behind another; they require a resizing. */
  readonly packed?: boolean;
  /** Rotation about the centre of the (resized) image. */
  readonly rotation?: "nearest" | "bilinear";
  /** Brightness, contrast, saturation and hue. */
  readonly jitter?: boolean;
  readonly grey?: boolean;
  /** Taps of the Gaussian blur, an odd number; absent: none. */
  readonly blurKernel?: number;
}

/**
 * Resizes a box of each image, rotates, cuts out a window, flips, changes colours, makes grey, blurs, solarises and
 * normalises, in this order. The images of the result are rows of `parameters`; each names the image that it is made of.
 *
 * @param images uint8 [B, H, W, 3], four to a word; where they are packed, room for boxes of at most H x W
 * @param parameters [N, numbers of an image]: see `lib/data/augmentation/table.ts`
 * @param colours [6]: scale of red, green, blue bytes; shift of red, green, blue
 * @returns the operation; its output is [N, height, width, 3] and has no gradient
 * @throws TypeError where a shape does not fit
 */
export function augmentImages(
  name: string,
  images: Tensor,
  parameters: Tensor,
  colours: Tensor,
  options: AugmentImagesOptions,
): Operation {
  requireShapes(images, parameters, options);
  const [, h, w] = images.shape, n = parameters.shape[0];
  const { resize, packed = false, height, width, blurKernel } = options;
  const output = scratch(name, [n, height, width, 3]);
  const resized = resize && resampleImages(name, images, parameters, resize, packed ? FIRST_BYTE : undefined);
  const [sourceH, sourceW] = resized ? resized.output.shape.slice(1) : [h, w];
  const blurred = blurKernel === undefined ? [] : [scratch(`${name} blurred rows`, output.shape)];
  const forward = (): Dispatch[] => [
    ...resized?.dispatches ?? [],
    {
      label: name,
      source: workgroupSumSource + colourSource + augmentSource,
      constants: {
        IMAGES: n,
        PARAMETERS: parameters.shape[1],
        SOURCE_H: sourceH,
        SOURCE_W: sourceW,
        OUT_H: height,
        OUT_W: width,
        GRID_X,
        RESIZED: resize ? 1 : 0,
        ROTATE: options.rotation ? 1 : 0,
        SMOOTH: options.rotation === "bilinear" ? 1 : 0,
        JITTER: options.jitter ? 1 : 0,
        GREY: options.grey ? 1 : 0,
        BLUR: blurKernel === undefined ? 0 : 1,
        KERNEL: blurKernel ?? 1,
      },
      bindings: [resized?.output ?? images, parameters, colours, output, ...blurred],
      groups: foldGroups(n),
    },
  ];
  const tables = resize ? [resize.horizontal.weights, resize.vertical.weights] : [];
  return {
    kind: "augmentImages",
    inputs: [images, parameters, colours, ...tables],
    output,
    forward,
    backward: () => [],
  };
}

function requireShapes(images: Tensor, parameters: Tensor, options: AugmentImagesOptions): void {
  const { resize, packed, height, width, blurKernel } = options;
  if (images.shape.length !== 4 || images.shape[3] !== 3) {
    throw shapeError("augmentImages", `images [${images.shape}]`, "[B, H, W, 3] is required");
  }
  if (parameters.shape.length !== 2 || parameters.shape[1] < LEAST_PARAMETERS) {
    const required = `[N, at least ${LEAST_PARAMETERS}] is required`;
    throw shapeError("augmentImages", `parameters [${parameters.shape}]`, required);
  }
  if (packed && !resize) {
    throw shapeError("augmentImages", `boxes [${images.shape}]`, `a resizing to ${height} x ${width} is required`);
  }
  if (blurKernel === undefined) return;
  if (blurKernel % 2 !== 1 || blurKernel < 1 || (blurKernel - 1) / 2 >= Math.min(height, width)) {
    const required = "an odd number is required whose half is below the image's sides";
    throw shapeError("augmentImages", `a blur of ${blurKernel} taps on ${height}x${width}`, required);
  }
}

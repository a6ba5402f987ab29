/**
 * Images that hold a copy of what a launch reads: see `kernels/image.ts`.
 *
 * @module
 */

import { IMAGE_WIDTH, imageDimension, type ImageFormat, TEXEL_BYTES } from "../../kernels/image.ts";
import type { Gpu } from "./device.ts";
import type { BufferRange } from "./launch.ts";

/** An image that a launch reads. */
export interface ImageRequest {
  /** Which of the launch's images. */
  readonly slot: number;
  /** Texels in all. */
  readonly texels: number;
  /** How a texel's four numbers are stored. */
  readonly format: ImageFormat;
}

/** A copy that is made before a launch. */
export interface ImageCopy {
  /** What is copied. */
  readonly source: BufferRange;
  /** Where to. */
  readonly texture: GPUTexture;
  /** Bytes of a texel. */
  readonly texelBytes: number;
}

const keyOf = ({ slot, texels, format }: ImageRequest) => `${slot} ${format} ${imageDimension(texels)}`;

/**
 * The images of launches that run one after another, which therefore share them: one for each place in a launch, format
 * and number of dimensions, as large as the largest.
 */
export class Images {
  readonly #gpu: Gpu;
  readonly #textures = new Map<string, GPUTexture>();

  /** Images for all of `requests`. */
  constructor(gpu: Gpu, requests: Iterable<ImageRequest>) {
    this.#gpu = gpu;
    for (const [key, { texels, format }] of largestOf(requests)) {
      const dimension = imageDimension(texels);
      this.#textures.set(
        key,
        gpu.createImage(`image ${key}`, {
          size: dimension === "1d" ? [texels] : [IMAGE_WIDTH, Math.ceil(texels / IMAGE_WIDTH)],
          dimension,
          format,
        }),
      );
    }
  }

  /** The image for a request, and the copy into it. */
  of(request: ImageRequest, source: BufferRange): ImageCopy {
    return { source, texture: this.#textures.get(keyOf(request))!, texelBytes: TEXEL_BYTES[request.format] };
  }

  /** Frees the device memory. */
  destroy(): void {
    this.#textures.forEach((texture) => this.#gpu.destroyImage(texture));
  }
}

function largestOf(requests: Iterable<ImageRequest>): Map<string, ImageRequest> {
  const largest = new Map<string, ImageRequest>();
  for (const request of requests) {
    const key = keyOf(request);
    if (request.texels > (largest.get(key)?.texels ?? 0)) largest.set(key, request);
  }
  return largest;
}

/** Bytes of the images that serve all of `requests`. */
export function imageBytes(requests: Iterable<ImageRequest>): number {
  let bytes = 0;
  for (const { texels, format } of largestOf(requests).values()) {
    const width = imageDimension(texels) === "1d" ? texels : IMAGE_WIDTH;
    bytes += Math.ceil(texels / width) * width * TEXEL_BYTES[format];
  }
  return bytes;
}

/** Encodes a copy: whole rows, then what is left. */
export function encodeImageCopy(encoder: GPUCommandEncoder, { source, texture, texelBytes }: ImageCopy): void {
  const texels = source.size / texelBytes, rows = Math.floor(texels / IMAGE_WIDTH), rest = texels % IMAGE_WIDTH;
  const { buffer, offset } = source, bytesPerRow = IMAGE_WIDTH * texelBytes;
  if (rows > 0) encoder.copyBufferToTexture({ buffer, offset, bytesPerRow }, { texture }, [IMAGE_WIDTH, rows]);
  if (rest === 0) return;
  encoder.copyBufferToTexture({ buffer, offset: offset + rows * bytesPerRow }, { texture, origin: [0, rows] }, [
    rest,
    1,
  ]);
}

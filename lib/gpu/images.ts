/**
 * Images that hold a copy of what a launch reads: see `kernels/image.ts`.
 *
 * @module
 */

import { IMAGE_WIDTH, imageDimension, type ImageFormat, imageSize, TEXEL_BYTES } from "../../kernels/image.ts";
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

/** Copies that fill an image before a launch: commands' arguments, made once. */
export interface ImageCopy {
  /** Where to. */
  readonly texture: GPUTexture;
  /** Whole rows, and what is left. */
  readonly parts: readonly {
    readonly source: GPUTexelCopyBufferInfo;
    readonly destination: GPUTexelCopyTextureInfo;
    readonly size: GPUExtent3DDict;
  }[];
}

/** Where the images of launches are. */
export interface ImageSource {
  /** The image for a request, and what is copied into it before each launch. */
  of(request: ImageRequest, source: BufferRange): ImageCopy;
}

const keyOf = ({ slot, texels, format }: ImageRequest) => `${slot} ${format} ${imageDimension(texels)}`;

/**
 * The images of launches that run one after another, which therefore share them: one for each place in a launch, format
 * and number of dimensions, as large as the largest.
 */
export class Images implements ImageSource {
  readonly #gpu: Gpu;
  readonly #textures = new Map<string, GPUTexture>();

  /** Images for all of `requests`. */
  constructor(gpu: Gpu, requests: Iterable<ImageRequest>) {
    this.#gpu = gpu;
    for (const [key, { texels, format }] of largestOf(requests)) {
      const size = [...imageSize(texels)], dimension = imageDimension(texels);
      this.#textures.set(key, gpu.createImage(`image ${key}`, { size, dimension, format }));
    }
  }

  /** The image for a request, and the copy into it. */
  of(request: ImageRequest, source: BufferRange): ImageCopy {
    return copyOf(this.#textures.get(keyOf(request))!, TEXEL_BYTES[request.format], source);
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
    const [width, height] = imageSize(texels);
    bytes += width * height * TEXEL_BYTES[format];
  }
  return bytes;
}

/** Images of what does not change: each range has one of its own, and is copied once. */
export class HeldImages implements ImageSource {
  readonly #gpu: Gpu;
  readonly #images: { readonly range: BufferRange; readonly texture: GPUTexture }[] = [];

  /** No images yet. */
  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** The image of a range, copied at the first call; afterwards its buffer is not needed. */
  of({ texels, format }: ImageRequest, range: BufferRange): ImageCopy {
    const { buffer, offset, size } = range;
    const held = this.#images.find((image) =>
      image.range.buffer === buffer && image.range.offset === offset && image.range.size === size
    );
    if (held !== undefined) return { texture: held.texture, parts: [] };
    const texture = this.#gpu.createImage(`image of ${buffer.label}`, {
      size: [...imageSize(texels)],
      dimension: imageDimension(texels),
      format,
    });
    this.#images.push({ range, texture });
    const encoder = this.#gpu.device.createCommandEncoder({ label: texture.label });
    encodeImageCopy(encoder, copyOf(texture, TEXEL_BYTES[format], range));
    this.#gpu.device.queue.submit([encoder.finish()]);
    return { texture, parts: [] };
  }

  /** Frees the device memory. */
  destroy(): void {
    this.#images.forEach(({ texture }) => this.#gpu.destroyImage(texture));
  }
}

/** The copy of a range into an image. */
function copyOf(texture: GPUTexture, texelBytes: number, { buffer, offset, size }: BufferRange): ImageCopy {
  const texels = size / texelBytes, width = texture.dimension === "1d" ? texels : IMAGE_WIDTH;
  const rows = Math.floor(texels / width), rest = texels % width, bytesPerRow = width * texelBytes;
  const whole = {
    source: rows > 1 ? { buffer, offset, bytesPerRow } : { buffer, offset },
    destination: { texture },
    size: { width, height: rows },
  };
  const left = {
    source: { buffer, offset: offset + rows * bytesPerRow },
    destination: { texture, origin: [0, rows] },
    size: { width: rest, height: 1 },
  };
  return { texture, parts: [...rows > 0 ? [whole] : [], ...rest > 0 ? [left] : []] };
}

/** Encodes a copy. */
export function encodeImageCopy(encoder: GPUCommandEncoder, { parts }: ImageCopy): void {
  for (const { source, destination, size } of parts) encoder.copyBufferToTexture(source, destination, size);
}

/**
 * Images that hold a copy of what launches read: see `kernels/image.ts`.
 *
 * @module
 */

import { IMAGE_WIDTH, imageDimension, type ImageFormat, imageSize, TEXEL_BYTES } from "../../kernels/image.ts";
import type { Gpu } from "./device.ts";
import { type ImageRequest, planImages, poolOf } from "./image_plan.ts";
import type { BufferRange } from "./launch.ts";

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

/** Where the images of a launch are. */
export interface ImageSource {
  /** What is copied before the launch. */
  readonly copies: readonly ImageCopy[];
  /** The image that holds a range when the launch runs. */
  imageOf(request: ImageRequest): GPUTexture;
}

/** What a launch binds: ranges that it reads as images, and all others. */
export interface LaunchBindings {
  readonly images: readonly ImageRequest[];
  readonly buffers: readonly BufferRange[];
}

/** The images of launches that run one after another, and therefore share them. */
export class Images {
  readonly #gpu: Gpu;
  readonly #textures: readonly GPUTexture[];
  readonly #sources: readonly ImageSource[];

  /**
   * Images for launches that bind this, in their order.
   *
   * @param runs numbers of launches that always run together; all of them unless given
   */
  constructor(gpu: Gpu, launches: readonly LaunchBindings[], runs: readonly number[] = [launches.length]) {
    this.#gpu = gpu;
    const pool = poolOf(launches.flatMap(({ images }) => images));
    this.#textures = pool.map(({ texels, format }) => createImage(gpu, "image", texels, format));
    const textures = this.#textures;
    let first = 0;
    const plans = runs.flatMap((count) => planImages(launches.slice(first, first += count), pool));
    this.#sources = plans.map(({ uses, copies }) => ({
      copies: copies.map(({ image, request }) => copyOf(textures[image], request)),
      imageOf: (request) => textures[uses.get(request.index)!],
    }));
  }

  /** The images of the launch of that index. */
  ofLaunch(index: number): ImageSource {
    return this.#sources[index];
  }

  /** Frees the device memory. */
  destroy(): void {
    this.#textures.forEach((texture) => this.#gpu.destroyImage(texture));
  }
}

/** Images of what does not change: each range has one of its own, and is copied once. */
export class HeldImages implements ImageSource {
  readonly copies: readonly ImageCopy[] = [];
  readonly #gpu: Gpu;
  readonly #held: { readonly range: BufferRange; readonly texture: GPUTexture }[] = [];

  /** No images yet. */
  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** The image of a range, which is copied at the first call; afterwards its buffer is not needed. */
  imageOf(request: ImageRequest): GPUTexture {
    const { range, texels, format } = request;
    const held = this.#held.find((image) => isSame(image.range, range));
    if (held !== undefined) return held.texture;
    const texture = createImage(this.#gpu, `image of ${range.buffer.label}`, texels, format);
    this.#held.push({ range, texture });
    const encoder = this.#gpu.device.createCommandEncoder({ label: texture.label });
    encodeImageCopy(encoder, copyOf(texture, request));
    this.#gpu.device.queue.submit([encoder.finish()]);
    return texture;
  }

  /** Frees the device memory. */
  destroy(): void {
    this.#held.forEach(({ texture }) => this.#gpu.destroyImage(texture));
  }
}

/** Bytes of the images that serve all of `requests`. */
export function imageBytes(requests: readonly Pick<ImageRequest, "texels" | "format">[]): number {
  return poolOf(requests).reduce((bytes, { texels, format }) => {
    const [width, height] = imageSize(texels);
    return bytes + width * height * TEXEL_BYTES[format];
  }, 0);
}

function isSame(a: BufferRange, b: BufferRange): boolean {
  return a.buffer === b.buffer && a.offset === b.offset && a.size === b.size;
}

function createImage(gpu: Gpu, label: string, texels: number, format: ImageFormat): GPUTexture {
  return gpu.createImage(label, { size: [...imageSize(texels)], dimension: imageDimension(texels), format });
}

/** The copy of a range into an image. */
function copyOf(texture: GPUTexture, { range, texels, format }: ImageRequest): ImageCopy {
  const { buffer, offset } = range, texelBytes = TEXEL_BYTES[format];
  const width = texture.dimension === "1d" ? texels : IMAGE_WIDTH;
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

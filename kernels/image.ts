/**
 * Kernels that read a buffer's numbers as the texels of an image, which holds a copy of them. A CPU adapter takes a load
 * from a buffer apart, lane by lane and number by number, with a comparison and a branch each; a texel's four numbers are
 * one load, three to four times as quick. The text of a kernel stays as it is, and the numbers are the same.
 *
 * @module
 */

import { declaredBindings, replaceAccesses, splitAtBinding } from "./bindings.ts";

/**
 * Texels of a row, of images of two dimensions: the sizes of most activations and weights are multiples of so many, and
 * are copied by one command.
 */
export const IMAGE_WIDTH = 1024;
/** Most texels of an image of one dimension, and most rows of one of two: what WebGPU guarantees. */
const MOST_TEXELS = 8192, MOST_ROWS = 8192;

/** How a texel's four numbers are stored. */
export type ImageFormat = "rgba32float" | "rgba16float";

/** Bytes of a texel. */
export const TEXEL_BYTES: Readonly<Record<ImageFormat, number>> = { rgba32float: 16, rgba16float: 8 };

/** What a kernel needs to know of an image. */
export interface ImageBinding {
  /** Index of the binding. */
  readonly index: number;
  /** Texels in all. */
  readonly texels: number;
  /** How a texel's four numbers are stored. */
  readonly format: ImageFormat;
}

/** The dimensions of an image of so many texels: one is a little quicker to read. */
export function imageDimension(texels: number): "1d" | "2d" {
  return texels <= MOST_TEXELS ? "1d" : "2d";
}

/** Width and height of an image of so many texels. */
export function imageSize(texels: number): readonly [width: number, height: number] {
  return imageDimension(texels) === "1d" ? [texels, 1] : [IMAGE_WIDTH, Math.ceil(texels / IMAGE_WIDTH)];
}

/** Whether an image can have so many texels. */
export function fitsImage(texels: number): boolean {
  return Number.isInteger(texels) && texels <= IMAGE_WIDTH * MOST_ROWS;
}

/** What reads an item out of texels: of four numbers, of two, or of one. */
const ITEMS = {
  4: (texel: (index: string) => string) => `return ${texel("i")};`,
  2: (texel: (index: string) => string) =>
    `let texel = ${texel("i >> 1u")};
  return select(texel.xy, texel.zw, (i & 1u) == 1u);`,
  1: (texel: (index: string) => string) =>
    `let texel = ${texel("i >> 2u")};
  let pair = select(texel.xy, texel.zw, (i & 2u) == 2u);
  return select(pair.x, pair.y, (i & 1u) == 1u);`,
};
const TYPES = { 4: "vec4<f32>", 2: "vec2<f32>", 1: "f32" };

function imageDeclaration({ index, texels, format }: ImageBinding, name: string, width: 1 | 2 | 4): string {
  const dimension = imageDimension(texels);
  const texel = (at: string) =>
    dimension === "1d"
      ? `textureLoad(${name}, ${at})`
      : `textureLoad(${name}, vec2<u32>((${at}) & ${IMAGE_WIDTH - 1}u, (${at}) >> ${Math.log2(IMAGE_WIDTH)}u))`;
  return `@group(0) @binding(${index}) var ${name}: texture_storage_${dimension}<${format}, read>;
fn texel_${name}(i: u32) -> ${TYPES[width]} {
  ${ITEMS[width](texel)}
}`;
}

/**
 * An expanded kernel that reads these bindings out of images.
 *
 * @throws SyntaxError where one of them is written, or is not of f32
 */
export function imageBindings(code: string, images: readonly ImageBinding[]): string {
  if (images.length === 0) return code;
  const declared = declaredBindings(code);
  let rewritten = code.replace(/\/\/.*$/gm, "");
  for (const image of images) {
    const { name, width } = declared.get(image.index) ?? { name: String(image.index), width: 0 };
    if (width === 0) throw new SyntaxError(`Cannot read binding ${name} as an image: items of f32 are required`);
    const accesses = { read: (item: string) => `texel_${name}(${item})` };
    const [before, after] = splitAtBinding(rewritten, image.index, name);
    rewritten = replaceAccesses(before, name, accesses) + imageDeclaration(image, name, width) +
      replaceAccesses(after, name, accesses);
  }
  return rewritten;
}

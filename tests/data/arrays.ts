/** Small data sets in their official layouts, for tests. */

import { crc32, deflateSync } from "node:zlib";
import { writeNpy } from "../../lib/checkpoint/npy.ts";
import { type ImageSource, type ImageStream, isStream } from "../../lib/data/dataset.ts";
import { readFixture } from "./helpers.ts";

/** A MATLAB file of row vectors of 16-bit numbers, not compressed. */
export function matFile(variables: Readonly<Record<string, readonly number[]>>): Uint8Array {
  const element = (type: number, data: Uint8Array) => {
    const out = new Uint8Array(8 + Math.ceil(data.length / 8) * 8);
    const view = new DataView(out.buffer);
    view.setUint32(0, type, true);
    view.setUint32(4, data.length, true);
    out.set(data, 8);
    return out;
  };
  const words = (...values: number[]) => new Uint8Array(Uint32Array.from(values).buffer);
  const header = new Uint8Array(128).fill(0x20, 0, 124);
  header.set([0, 1, 0x49, 0x4d], 124);
  const arrays = Object.entries(variables).map(([name, values]) =>
    element(
      14,
      concat([
        element(6, words(11, 0)),
        element(5, words(1, values.length)),
        element(1, new TextEncoder().encode(name)),
        element(4, new Uint8Array(Uint16Array.from(values).buffer)),
      ]),
    )
  );
  return concat([header, ...arrays]);
}

/** Arrays one after another. */
export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) whole.set(part, at), at += part.length;
  return whole;
}

/** An array of `count` images of 32 x 32, whose bytes count upwards. */
export function npyImages(count: number, side = 32): Uint8Array {
  const data = Uint8Array.from({ length: count * side * side * 3 }, (_, i) => (i * 7 + (i >> 10)) % 251);
  return writeNpy({ dtype: "uint8", shape: [count, side, side, 3], data });
}

/** An array of labels. */
export function npyLabels(labels: readonly number[], dtype: "int32" | "uint8" | "int64" = "int32"): Uint8Array {
  const data = { int32: Int32Array, uint8: Uint8Array, int64: BigInt64Array }[dtype];
  const values = dtype === "int64" ? BigInt64Array.from(labels, BigInt) : (data as typeof Int32Array).from(labels);
  return writeNpy({ dtype, shape: [labels.length], data: values });
}

/** Writes files by path below a folder. */
export async function writeTree(root: string, files: Readonly<Record<string, Uint8Array | string>>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    const target = `${root}/${path}`;
    await Deno.mkdir(target.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.writeFile(target, typeof content === "string" ? new TextEncoder().encode(content) : content);
  }
}

/** A photograph of 29 x 23 pixels. */
export const JPEG: Uint8Array<ArrayBuffer> = readFixture("colour420.jpg");
/** Another one. */
export const GRAY_JPEG: Uint8Array<ArrayBuffer> = readFixture("gray.jpg");

/** Oxford's flowers: 8 images of 102 classes. */
export const FLOWERS = {
  labels: [1, 102, 3, 3, 50, 1, 102, 7],
  sets: { trnid: [2, 3], valid: [1, 8], tstid: [4, 5, 6, 7] },
} as const;

/** Files of {@linkcode FLOWERS} in Oxford's layout. */
export function flowerFiles(): Record<string, Uint8Array> {
  const images = FLOWERS.labels.map((_, i) => [`jpg/image_0000${i + 1}.jpg`, i % 2 === 0 ? JPEG : GRAY_JPEG] as const);
  return {
    ...Object.fromEntries(images),
    "imagelabels.mat": matFile({ labels: FLOWERS.labels }),
    "setid.mat": matFile(FLOWERS.sets),
  };
}

/** Files of a few pets in Oxford's layout; `trimap` stands for each trimap. */
export function petFiles(trimap: Uint8Array): Record<string, Uint8Array | string> {
  const names = ["Abyssinian_1", "Abyssinian_2", "yorkshire_terrier_9", "shiba_inu_3"];
  return {
    ...Object.fromEntries(names.map((name) => [`images/${name}.jpg`, JPEG])),
    ...Object.fromEntries(names.map((name) => [`annotations/trimaps/${name}.png`, trimap])),
    "annotations/trainval.txt": "Abyssinian_1 1 1 1\nyorkshire_terrier_9 37 2 25\n",
    "annotations/test.txt": "# image class species breed\nAbyssinian_2 1 1 1\nshiba_inu_3 34 2 22\n",
  };
}

/** The source, which must be a stream. */
export function asStream(source: ImageSource): ImageStream {
  if (!isStream(source)) throw new Error(`${source.name} is held in memory`);
  return source;
}

/** A grayscale PNG of one row. */
export function trimapPng(values: readonly number[]): Uint8Array {
  return png(values.length, 1, Uint8Array.from(values));
}

/** A PNG of so many columns and rows: grey where there is a byte a pixel, coloured where there are three. */
export function png(width: number, height: number, pixels: Uint8Array): Uint8Array<ArrayBuffer> {
  const chunk = (type: string, data: Uint8Array) => {
    const out = new Uint8Array(12 + data.length), view = new DataView(out.buffer);
    view.setUint32(0, data.length);
    out.set(new TextEncoder().encode(type), 4);
    out.set(data, 8);
    view.setUint32(8 + data.length, crc32(out.subarray(4, 8 + data.length)));
    return out;
  };
  const stride = pixels.length / height, header = new Uint8Array(13), view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, stride === width ? 0 : 2], 8);
  // Before each row the number of its filter: none.
  const rows = Array.from(
    { length: height },
    (_, y) => [Uint8Array.of(0), pixels.subarray(y * stride, (y + 1) * stride)],
  );
  return concat([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk("IHDR", header),
    chunk("IDAT", new Uint8Array(deflateSync(concat(rows.flat()), { level: 1 }))),
    chunk("IEND", new Uint8Array()),
  ]);
}

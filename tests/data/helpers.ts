/** What the tests of lib/data share. */

import { fromFileUrl } from "@std/path";
import { createImageSet, type ImageSet } from "../../lib/data/dataset.ts";

/** A file or folder of `tests/fixtures/data_images`. */
export function fixture(name: string): string {
  return fromFileUrl(new URL(`../fixtures/data_images/${name}`, import.meta.url));
}

/** Bytes of a fixture. */
export function readFixture(name: string): Uint8Array<ArrayBuffer> {
  return Deno.readFileSync(fixture(name));
}

/** Path of a folder of the real data beside the project, and whether it is there. */
export function sharedData(name: string): { path: string; present: boolean } {
  const path = fromFileUrl(new URL(`../../../shared/data/${name}`, import.meta.url));
  try {
    return { path, present: Deno.statSync(path).isDirectory };
  } catch {
    return { path, present: false };
  }
}

/** A set of 2 x 3 images whose bytes all carry their example's index (from 1 on). */
export function countingSet(labels: readonly number[], classes: number): ImageSet {
  return createImageSet({
    name: "counting",
    height: 2,
    width: 3,
    classNames: Array.from({ length: classes }, (_, label) => `class ${label}`),
    labels: Uint32Array.from(labels),
    images: Uint8Array.from({ length: labels.length * 18 }, (_, index) => Math.floor(index / 18) + 1),
  });
}

/** Runs `body` in a temporary folder that is removed afterwards. */
export async function inTemporaryFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

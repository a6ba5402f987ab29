import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { createHash } from "node:crypto";
import { allocateImages, classCounts, createImageSet } from "../../lib/data/dataset.ts";
import { countingSet } from "./helpers.ts";

Deno.test("createImageSet() hashes pixels, then labels as little-endian words", () => {
  const set = countingSet([1, 0], 2);
  const expected = createHash("sha256").update(set.images).update(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0)).digest("hex");
  assertEquals(set.hash, expected);
  assertNotEquals(countingSet([0, 1], 2).hash, set.hash);
});

Deno.test("createImageSet() refuses pixels that do not fit the labels", () => {
  const set = countingSet([0, 1], 2);
  assertThrows(
    () => createImageSet({ ...set, images: set.images.subarray(1) }),
    TypeError,
    "35 bytes of pixels were given, 2 images of 2x3 RGB need 36",
  );
});

Deno.test("createImageSet() refuses a label without a class", () => {
  assertThrows(() => countingSet([0, 2], 2), RangeError, "example 1 has label 2");
});

Deno.test("allocateImages() refuses what exceeds the limit and names the figures", () => {
  const message = "5001 images of 512x512 RGB take 3.66 GiB; at most 1.00 GiB is allowed";
  assertThrows(() => allocateImages("big", 5001, 512, 512, 2 ** 30), RangeError, message);
  assertThrows(() => allocateImages("big", 10_000, 512, 512), RangeError, "at most 4.00 GiB");
  assertEquals(allocateImages("small", 2, 3, 4, 72).length, 72);
  assertThrows(() => allocateImages("small", 2, 3, 4, 71), RangeError);
});

Deno.test("classCounts() counts each class", () => {
  assertEquals([...classCounts(countingSet([2, 0, 2, 2], 4))], [1, 0, 3, 0]);
});

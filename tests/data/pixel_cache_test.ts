import { assertEquals, assertNotEquals } from "@std/assert";
import { type Augmentation, AUGMENTATIONS } from "../../lib/data/augment.ts";
import { createImageStream, type ImageStream } from "../../lib/data/dataset.ts";
import type { Fit } from "../../lib/data/fit.ts";
import { formatEntry, parseEntry, type PixelCache, pixelKey } from "../../lib/data/pixel_cache.ts";
import { RECIPES } from "../../lib/data/recipes.ts";
import { fixture, readFixture, renderAll } from "./helpers.ts";

const FILES = ["colour420.jpg", "gray.jpg", "colour.png"].map(fixture);
const EVERY_KIND: readonly Augmentation[] = [
  AUGMENTATIONS.none,
  AUGMENTATIONS.flip,
  AUGMENTATIONS.crop,
  AUGMENTATIONS["resized-crop"],
  RECIPES.oxford102flowers.augmentation,
];

/** A cache in memory. */
class Kept implements PixelCache {
  readonly entries = new Map<string, Uint8Array<ArrayBuffer>>();
  read(key: string): Uint8Array<ArrayBuffer> | undefined {
    return this.entries.get(key)?.slice();
  }
  write(key: string, bytes: Uint8Array<ArrayBuffer>): void {
    this.entries.set(key, bytes);
  }
}

function files(fit: Fit, cache?: PixelCache): ImageStream {
  return createImageStream({
    name: "files",
    classNames: ["a"],
    labels: new Uint32Array(FILES.length),
    fit,
    identity: "files",
    locate: (example) => ({ kind: "file", path: FILES[example] }),
    cache: cache && { settings: undefined, open: () => cache, worker: new URL("file:///none.ts") },
  });
}

/** What becomes of every file at one draw. */
const rendered = (stream: ImageStream, augmentation: Augmentation, epoch = 3) =>
  renderAll(stream, augmentation, { threads: 0, epoch });

Deno.test("Renderer decodes a file once, whatever is drawn, and makes the bytes that it makes without a cache", async () => {
  const fit: Fit = { size: 16, resize: "crop", shortSide: 18, filter: "bicubic" };
  for (const augmentation of EVERY_KIND) {
    const cache = new Kept();
    for (const [epoch, decoded] of [[0, 3], [1, 0], [2, 0]]) {
      const expected = await rendered(files(fit), augmentation, epoch);
      assertEquals(expected.decoded, 3);
      assertEquals(await rendered(files(fit, cache), augmentation, epoch), { ...expected, decoded });
    }
    assertEquals(cache.entries.size, 3);
  }
});

Deno.test("Renderer keeps apart what differs in size, fit and filter, and shares what does not", async () => {
  const fits: Fit[] = [
    { size: 16, resize: "crop" },
    { size: 12, resize: "crop" },
    { size: 16, resize: "crop", shortSide: 18 },
    { size: 16, resize: "crop", filter: "bicubic" },
    { size: 16, resize: "squash" },
  ];
  const cache = new Kept();
  for (const fit of fits) {
    const expected = await rendered(files(fit), AUGMENTATIONS.none);
    assertEquals(await rendered(files(fit, cache), AUGMENTATIONS.none), { ...expected, decoded: 3 });
  }
  // The whole image, too, is another entry; flips and the CIFAR crop are of the fitted one.
  assertEquals((await rendered(files(fits[0], cache), AUGMENTATIONS["resized-crop"])).decoded, 3);
  assertEquals((await rendered(files(fits[0], cache), AUGMENTATIONS.crop)).decoded, 0);
  // The defaults, spelled out.
  const same: Fit = { size: 16, resize: "crop", shortSide: 16, filter: "bilinear" };
  assertEquals((await rendered(files(same, cache), AUGMENTATIONS.none)).decoded, 0);
});

Deno.test("Renderer tells a damaged entry, decodes its file again and replaces the entry", async () => {
  const fit: Fit = { size: 16, resize: "crop" }, cache = new Kept();
  const expected = await rendered(files(fit, cache), AUGMENTATIONS.flip);
  const [key, whole] = [...cache.entries][0], [otherKey, other] = [...cache.entries][1];
  const flipped = (at: number) => whole.map((byte, index) => index === at ? byte ^ 1 : byte);
  const damages = [
    new Uint8Array(),
    whole.slice(0, 19),
    whole.slice(0, 20),
    whole.slice(0, -1),
    Uint8Array.from([...whole, 0]),
    new Uint8Array(whole.length),
    flipped(0),
    flipped(9),
    flipped(17),
    flipped(whole.length - 1),
    other,
  ];
  for (const damaged of damages) {
    cache.entries.set(key, damaged);
    assertEquals(await rendered(files(fit, cache), AUGMENTATIONS.flip), { ...expected, decoded: 1 });
    assertEquals(cache.entries.get(key), whole);
  }
  assertEquals(parseEntry(otherKey, other)?.width, 16);
});

Deno.test("pixelKey() tells one changed bit of a file; formatEntry() and parseEntry() are inverse", () => {
  const file = readFixture("gray.jpg"), changed = file.slice();
  changed[file.length >> 1] ^= 1;
  assertNotEquals(pixelKey(file, undefined), pixelKey(changed, undefined));
  const image = { width: 2, height: 3, rgb: Uint8Array.from({ length: 18 }, (_, i) => i) };
  assertEquals(parseEntry("key", formatEntry("key", image)), image);
  assertEquals(parseEntry("kez", formatEntry("key", image)), undefined);
  const turned = formatEntry("key", { ...image, width: 3, height: 2 });
  assertNotEquals(turned, formatEntry("key", image));
});

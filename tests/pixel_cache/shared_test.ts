import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { type Augmentation, AUGMENTATIONS } from "../../lib/data/augment.ts";
import type { ImageStream } from "../../lib/data/dataset.ts";
import { openImageFolder } from "../../lib/data/file_stream.ts";
import type { SharedPixelCache } from "../../lib/data/pixel_cache.ts";
import type { CacheHost } from "../../tasks/cli/cache_place.ts";
import { sharedPixelCache } from "../../tasks/pixel_cache/shared.ts";
import { namesIn, withFolder } from "../cli/run_cli.ts";
import { readFixture, renderAll } from "../data/helpers.ts";

const COUNT = 70;
const FIT = { size: 16, resize: "crop", shortSide: 18 } as const;

/** Writes files that all differ, by what follows the image's end, which no decoder looks at. */
async function writeImages(folder: string): Promise<void> {
  await Deno.mkdir(`${folder}/images/a`, { recursive: true });
  const kinds = ["colour420.jpg", "gray.jpg"].map(readFixture);
  for (let index = 0; index < COUNT; index++) {
    const image = kinds[index % 2];
    const file = new Uint8Array(image.length + 1);
    file.set(image);
    file[image.length] = index;
    await Deno.writeFile(`${folder}/images/a/${index}.jpg`, file);
  }
}

function open(folder: string, cache?: SharedPixelCache): Promise<ImageStream> {
  return openImageFolder(`${folder}/images`, { name: "images", fit: FIT, cache });
}

const rendered = (stream: ImageStream, augmentation: Augmentation, threads: number) =>
  renderAll(stream, augmentation, { threads });

Deno.test("sharedPixelCache() serves threads and this thread alike: the second pass decodes nothing", () =>
  withFolder(async (folder) => {
    await writeImages(folder);
    for (const kind of ["flip", "resized-crop"] as const) {
      const augmentation = AUGMENTATIONS[kind], cacheDir = `${folder}/${kind}`;
      const expected = await rendered(await open(folder), augmentation, 0);
      for (const [threads, decoded] of [[2, COUNT], [2, 0], [0, 0], [1, 0]]) {
        const stream = await open(folder, sharedPixelCache({ cacheDir, cacheSize: 1 }));
        assertEquals(await rendered(stream, augmentation, threads), { ...expected, decoded });
      }
    }
  }));

Deno.test("sharedPixelCache() notices other content under the same name, size and time", () =>
  withFolder(async (folder) => {
    await writeImages(folder);
    const cache = sharedPixelCache({ cacheDir: `${folder}/cache`, cacheSize: 1 });
    const before = await rendered(await open(folder, cache), AUGMENTATIONS.none, 0);
    const path = `${folder}/images/a/4.jpg`, { mtime } = await Deno.stat(path);
    const file = await Deno.readFile(path);
    file[file.length - 40] ^= 4;
    await Deno.writeFile(path, file);
    await Deno.utime(path, mtime!, mtime!);
    const after = await rendered(await open(folder), AUGMENTATIONS.none, 0);
    assertNotEquals(after.pixels, before.pixels);
    assertEquals(await rendered(await open(folder, cache), AUGMENTATIONS.none, 0), { ...after, decoded: 1 });
  }));

Deno.test("sharedPixelCache() survives damage to every entry and half of the folders gone", () =>
  withFolder(async (folder) => {
    await writeImages(folder);
    const cacheDir = `${folder}/cache`;
    const cached = async () => await open(folder, sharedPixelCache({ cacheDir, cacheSize: 1 }));
    const first = await rendered(await cached(), AUGMENTATIONS.none, 2);
    const shards = namesIn(cacheDir).filter((name) => name !== "taken");
    for (const [index, shard] of shards.entries()) {
      if (index % 2 === 0) await Deno.remove(`${cacheDir}/${shard}`, { recursive: true });
      else {
        for (const name of namesIn(`${cacheDir}/${shard}`)) await Deno.truncate(`${cacheDir}/${shard}/${name}`, 100);
      }
    }
    assertEquals(await rendered(await cached(), AUGMENTATIONS.none, 2), { ...first, decoded: COUNT });
    assertEquals(await rendered(await cached(), AUGMENTATIONS.none, 2), { ...first, decoded: 0 });
  }));

Deno.test("sharedPixelCache() is in the user's cache folder, if anywhere, and as large as it is told", () => {
  const host = (may: readonly string[], variables: Record<string, string> = { HOME: "/home/me" }): CacheHost => ({
    os: "linux",
    env: (name) => variables[name],
    may: (name) => may.includes(name),
  });
  // deno-lint-ignore no-explicit-any
  const found = (...args: Parameters<typeof sharedPixelCache>) => sharedPixelCache(...args)?.settings as any;
  const { path, limit, writable } = found({ cacheSize: 0.5 }, host(["read"]));
  assertEquals([path, limit, writable], ["/home/me/.cache/swagpu/images", 2 ** 29, false]);
  assertEquals(found({ cacheSize: 1, cacheDir: "here" }, host(["read"], {})).path, "here");
  assertEquals(found({ cacheSize: 0, cacheDir: "here" }, host(["read", "write"])), undefined);
  assertEquals(found({ cacheSize: 1 }, host(["read", "write"], {})), undefined);
  assertEquals(found({ cacheSize: 1, cacheDir: "here" }, host(["write"])), undefined);
});

Deno.test({
  name: "images are decoded, and none is kept, where nothing may be written",
  permissions: { read: true, write: false, env: false },
  fn: async () => {
    const folder = new URL("../fixtures/data_images", import.meta.url).pathname;
    assertEquals(sharedPixelCache({ cacheSize: 1 }), undefined);
    const cache = sharedPixelCache({ cacheSize: 1, cacheDir: `${folder}/cache` });
    assert(cache !== undefined);
    const files: ImageStream = {
      name: "files",
      width: 16,
      height: 16,
      channels: 3,
      classNames: ["a"],
      labels: new Uint32Array(COUNT),
      hash: "",
      fit: FIT,
      locate: () => ({ kind: "file", path: `${folder}/gray.jpg` }),
    };
    const expected = await rendered(files, AUGMENTATIONS.flip, 0);
    for (const threads of [0, 2]) {
      assertEquals(await rendered({ ...files, cache }, AUGMENTATIONS.flip, threads), { ...expected, decoded: COUNT });
    }
  },
});

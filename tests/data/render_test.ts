import { assertEquals, assertRejects } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { AUGMENTATIONS } from "../../lib/data/augment.ts";
import { trainingBatches } from "../../lib/data/training_batches.ts";
import { createImageStream, type ImageStream } from "../../lib/data/dataset.ts";
import { RECIPES } from "../../lib/data/recipes.ts";
import { holdStream, Renderer } from "../../lib/data/render.ts";
import { FormatError } from "../../lib/errors.ts";
import { fixture, inTemporaryFolder, renderAll } from "./helpers.ts";

/** Files, arrays and planes in turn; large enough for threads. */
function mixed(count: number, bad?: string): ImageStream {
  const path = fromFileUrl(import.meta.url);
  return createImageStream({
    name: "mixed",
    classNames: ["a"],
    labels: new Uint32Array(count),
    fit: { size: 16, resize: "crop", filter: "bicubic" },
    identity: "mixed",
    locate(example) {
      if (bad !== undefined && example === 11) return { kind: "file", path: bad };
      if (example % 3 === 0) return { kind: "file", path: fixture(example % 2 ? "colour.png" : "colour420.jpg") };
      // The text of this file, as planes.
      if (example % 3 === 1) return { kind: "columns", path, offset: example, height: 9, width: 7 };
      const rgb = Uint8Array.from({ length: 20 * 30 * 3 }, (_, i) => (i * example) % 256);
      return { kind: "pixels", image: { height: 20, width: 30, rgb } };
    },
  });
}

Deno.test("Renderer makes the same bytes on this thread, on one other and on several", async () => {
  const stream = mixed(70);
  for (const augmentation of [AUGMENTATIONS["resized-crop"], RECIPES.oxford102flowers.augmentation]) {
    const here = await renderAll(stream, augmentation, { threads: 0 });
    assertEquals(await renderAll(stream, augmentation, { threads: 1 }), here);
    assertEquals(await renderAll(stream, augmentation, { threads: 3 }), here);
  }
});

Deno.test("Renderer names a damaged file, from any thread, and goes on with other images", () =>
  inTemporaryFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/bad.jpg`, "no image");
    for (const threads of [0, 2]) {
      using renderer = new Renderer(mixed(70, `${folder}/bad.jpg`), threads);
      const images = new Uint8Array(2 * 768);
      const render = (...examples: number[]) =>
        renderer.render(examples.map((example) => ({ seed: 0, epoch: 0, example })), AUGMENTATIONS.none, { images });
      await assertRejects(() => render(10, 11), FormatError, "bad.jpg");
      await render(10, 12);
    }
  }));

Deno.test("a renderer that is disposed of gives up what it was at", async () => {
  const renderer = new Renderer(mixed(70), 1);
  const keys = [{ seed: 0, epoch: 0, example: 0 }];
  const pending = renderer.render(keys, AUGMENTATIONS.none, { images: new Uint8Array(768) });
  renderer[Symbol.dispose]();
  await assertRejects(() => pending, Error, "the pool is closed");
});

Deno.test("batches and sets that are decoded on threads are those of this thread", async () => {
  const stream = mixed(70), held = await holdStream(stream);
  assertEquals(held.images, (await renderAll(stream, AUGMENTATIONS.none, { threads: 0 })).pixels);
  const options = { batchSize: 32, seed: 4, augmentation: AUGMENTATIONS.flip };
  using streamed = trainingBatches(stream, options);
  using whole = trainingBatches(held, options);
  for (const step of [0, 1, 2, 7]) {
    assertEquals(await streamed.batchAt(step), await whole.batchAt(step));
  }
});

Deno.test({
  name: "Renderer decodes on this thread where the program's own files may not be read",
  permissions: { read: [fixture("colour420.jpg")] },
  fn: async () => {
    const stream = createImageStream({
      ...mixed(70),
      identity: "one",
      locate: () => ({ kind: "file", path: fixture("colour420.jpg") }),
    });
    const held = await holdStream(stream);
    assertEquals(held.images.subarray(-768), held.images.subarray(0, 768));
  },
});

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { initialWeights, stateDictFromWeights } from "../../lib/models/weights.ts";
import { cliCommand, namesIn, runCli, withFolder } from "../cli/run_cli.ts";
import { JPEG, writeTree } from "../data/arrays.ts";
import { makeTask, resultOf, runJson, sampleHashes, TINY } from "./task.ts";

/** Each entry of a cache with its bytes. */
function entriesOf(cache: string): Map<string, Uint8Array> {
  const shards = namesIn(cache).filter((name) => name !== "taken");
  const paths = shards.flatMap((shard) => namesIn(`${cache}/${shard}`).map((name) => `${shard}/${name}`));
  return new Map(paths.map((path) => [path, Deno.readFileSync(`${cache}/${path}`)]));
}

/** Enough images for threads; what follows an image's end tells them apart. */
function images(folder: string): Promise<void> {
  const file = (index: number) => Uint8Array.from([...JPEG, index]);
  const train = Array.from({ length: 72 }, (_, index) => [`train/${"ab"[index % 2]}/${index}.jpg`, file(index)]);
  const val = Array.from({ length: 4 }, (_, index) => [`val/${"ab"[index % 2]}/${index}.jpg`, file(100 + index)]);
  return writeTree(folder, Object.fromEntries([...train, ...val]));
}

const NETWORK = ["--encoder", "resnet8_narrow", "--image-size", "32", "--batch-size", "8", "--seed", "4"];

Deno.test("infer gives the same samples without a cache, with an empty one and with a full one; evaluate reads it", () =>
  withFolder(async (folder) => {
    await images(`${folder}/images`);
    const data = ["--train-dataset", "custom", "--data-dir", `${folder}/images`];
    const steps = ["--max-steps", "3", "--n-samples", "1", "--prior-type", "none"];
    for (const transforms of ["original", "plain"]) {
      const cache = `${folder}/${transforms}`;
      const infer = async (name: string, ...more: string[]) => {
        const run = `${folder}/${transforms}-${name}`;
        const args = ["infer", ...NETWORK, ...data, ...steps, "--transforms", transforms, "--out", run, ...more];
        const { nll } = await runJson(args);
        return { nll, samples: sampleHashes(run) };
      };
      const expected = await infer("none");
      assertEquals(await infer("empty", "--cache-dir", cache), expected);
      const kept = entriesOf(cache);
      assertNotEquals(kept.size, 0);
      assertEquals(await infer("full", "--cache-dir", cache), expected);
      assertEquals(await infer("off", "--cache-dir", `${folder}/no`, "--cache-size", "0"), expected);
      assertEquals(entriesOf(cache), kept);
      // Without the permission to write: the cache is read, and nothing else changes.
      const evaluate = ["evaluate", "--run", `${folder}/${transforms}-full`, "--val-dataset", "custom"];
      const read = [...evaluate, "--data-dir", `${folder}/images`, "--cache-dir", cache];
      assertEquals((await runJson(read)).nll, expected.nll);
      assertEquals(entriesOf(cache), kept);
    }
    assertEquals(namesIn(folder).includes("no"), false);
  }));

Deno.test("prior gives the same bytes with a cache that two processes fill at once as without one", () =>
  withFolder(async (folder) => {
    await images(`${folder}/images`);
    const { checkpoint } = makeTask(folder);
    const prior = (name: string, ...more: string[]) =>
      cliCommand([
        "prior",
        ...NETWORK,
        ...["--weights-path", checkpoint, "--train-dataset", "custom", "--data-dir", `${folder}/images`],
        ...["--transforms", "original", "--max-steps", "4", "--n-samples", "2", "--out", `${folder}/${name}`],
        ...more,
      ], { permissions: "--allow-read --allow-write" }).output();
    const cache = ["--cache-dir", `${folder}/cache`];
    const outputs = [
      await prior("0.safetensors"),
      ...await Promise.all([prior("1.safetensors", ...cache), prior("2.safetensors", ...cache)]),
      await prior("3.safetensors", ...cache),
    ];
    for (const { code, stderr } of outputs) assertEquals(code, 0, new TextDecoder().decode(stderr));
    const [expected, ...others] = [0, 1, 2, 3].map((name) => Deno.readFileSync(`${folder}/${name}.safetensors`));
    for (const other of others) assertEquals(other, expected);
    assertNotEquals(entriesOf(`${folder}/cache`).size, 0);
  }));

Deno.test("evaluate keeps and takes the images that it evaluates, and those that --laplace is fitted to", () =>
  withFolder(async (folder) => {
    await images(`${folder}/images`);
    const cache = `${folder}/cache`, layouts = layoutModel({ ...TINY, numClasses: 2 });
    const checkpoint = `${folder}/two.safetensors`;
    Deno.writeFileSync(checkpoint, writeSafetensors(stateDictFromWeights(layouts, initialWeights(layouts, 3))));
    const data = [
      "--val-dataset",
      "custom",
      "--data-dir",
      `${folder}/images`,
      "--cache-dir",
      cache,
      "--json",
      "--quiet",
    ];
    const weights = ["evaluate", "--encoder", "resnet8_narrow", "--image-size", "32", "--weights-path", checkpoint];
    const evaluate = async (permissions: string, ...more: string[]) =>
      resultOf(await runCli([...weights, ...data, ...more], { permissions })).nll;
    const writing = "--allow-read --allow-write", counts = [4, 4 + 72];
    for (const [index, more] of [[], ["--laplace", "diagonal"]].entries()) {
      const nll = await evaluate(writing, ...more), kept = entriesOf(cache);
      assertEquals(kept.size, counts[index]);
      assertEquals(await evaluate("--allow-read", ...more), nll);
      assertEquals(await evaluate(writing, ...more, "--cache-size", "0"), nll);
      assertEquals(entriesOf(cache), kept);
    }
  }));

Deno.test("prior --objective simclr keeps the images that views are cut from, and those that features are measured on", () =>
  withFolder(async (folder) => {
    await images(`${folder}/images`);
    const cache = `${folder}/cache`;
    const prior = async (out: string) => {
      const sizes = ["--proj-hidden-dim", "8", "--proj-output-dim", "4", "--max-steps", "2", "--knn-every", "1"];
      const data = ["--train-dataset", "custom", "--data-dir", `${folder}/images`, "--cache-dir", cache];
      await runJson(["prior", "--objective", "simclr", ...NETWORK, ...sizes, ...data, "--out", `${folder}/${out}`]);
      return entriesOf(cache);
    };
    const kept = await prior("first.safetensors");
    // All as they are measured, and whole those of two batches of 8, and of the third as far as it was made ahead.
    assert(kept.size >= 72 + 4 + 16 && kept.size <= 72 + 4 + 24, `${kept.size}`);
    const then = await prior("second.safetensors");
    for (const [path, bytes] of kept) assertEquals(then.get(path), bytes);
    assert(then.size <= 72 + 4 + 24, `${then.size}`);
    assertEquals(Deno.readFileSync(`${folder}/first.safetensors`), Deno.readFileSync(`${folder}/second.safetensors`));
  }));

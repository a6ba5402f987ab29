import { assertEquals, assertNotEquals } from "@std/assert";
import { cliCommand, namesIn, withFolder } from "../cli/run_cli.ts";
import { JPEG, writeTree } from "../data/arrays.ts";
import { makeTask, runJson, sampleHashes } from "./task.ts";

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

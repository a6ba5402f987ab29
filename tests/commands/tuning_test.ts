import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import type { Gpu } from "../../lib/gpu/device.ts";
import { classifierProducts } from "../../lib/inference/autotune.ts";
import { entriesOf, formatTuningCache, parseTuningCache } from "../../lib/tuning/cache.ts";
import { TUNING_FLAGS } from "../../tasks/cli/flag_groups.ts";
import { defineCommand, parseFlags } from "../../tasks/cli/flags.ts";
import { createIo } from "../../tasks/cli/output.ts";
import { cacheKey, isTuned, tune } from "../../tasks/commands/tuning.ts";
import { runCli, withFolder } from "../cli/run_cli.ts";
import { withGpu } from "../gpu/harness.ts";
import { exists, killAt, pause } from "./kill.ts";
import { makeTask, runJson, sampleHashes, type Task, taskFlags, TINY } from "./task.ts";

const PERMISSIONS = "--allow-read --allow-write";

function inferArgs(task: Task, run: string): string[] {
  const length = ["--max-steps", "5", "--n-samples", "2", "--checkpoint-steps", "3"];
  return ["infer", ...taskFlags(task), "--prior-path", task.prior, ...length, "--out", run];
}

function tuningOf(run: string): Record<string, string> {
  return JSON.parse(Deno.readTextFileSync(`${run}/config.json`)).tuning;
}

/** A cache that knows the last variant of every product of the task's network to be the fastest. */
async function writeCacheOfLastVariants(path: string): Promise<Record<string, string>> {
  let table: Record<string, string> = {};
  await withGpu({}, async (gpu) => {
    const products = classifierProducts(gpu, TINY, 8).filter(({ variants }) => variants.length > 1);
    table = Object.fromEntries(products.map(({ shapeClass, variants }) => [shapeClass, variants.at(-1)!.name]));
    await Deno.writeTextFile(path, formatTuningCache({ [cacheKey(gpu)]: await entriesOf(table, products) }));
  });
  return table;
}

Deno.test("infer records what the cache says; --resume computes with that, whatever the cache says then", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), run = `${folder}/run`, plain = `${folder}/plain`, cache = `${folder}/tuning.json`;
    const table = await writeCacheOfLastVariants(cache);
    await runJson([...inferArgs(task, run), "--tuning-cache", cache]);
    assertEquals(tuningOf(run), table);
    const samples = sampleHashes(run);

    await runJson([...inferArgs(task, plain), "--no-autotune", "--tuning-cache", cache]);
    assertEquals(tuningOf(plain), {});
    assertNotEquals(sampleHashes(plain), samples, "other kernels have other bits");

    const again = async (...flags: string[]) => {
      await Deno.remove(`${run}/checkpoint/state.safetensors`);
      await runJson(["infer", "--resume", "--out", run, "--checkpoint-steps", "3", ...flags]);
      assertEquals(sampleHashes(run), samples, flags.join(" "));
      assertEquals(tuningOf(run), table);
    };
    await again("--no-autotune");
    await Deno.writeTextFile(cache, formatTuningCache({}));
    await again("--autotune", "--tuning-cache", cache);
    await Deno.remove(cache);
    await again();

    // A run's model average is computed with the run's kernels, too.
    const evaluate = ["evaluate", "--val-dataset", "cifar10", "--data-dir", task.data, "--run"];
    const whole = JSON.parse(await Deno.readTextFile(`${run}/metrics.json`));
    assertEquals((await runJson([...evaluate, run])).nll, whole.nll);
  });
});

Deno.test({
  name: "prior --resume goes on with the kernels that it began with",
  ignore: Deno.build.os === "windows",
  async fn() {
    await withFolder(async (folder) => {
      const task = makeTask(folder), cache = `${folder}/tuning.json`, tuned = `${folder}/tuned.safetensors`;
      const length = ["--max-steps", "12", "--epochs", "3", "--n-samples", "4", "--checkpoint-steps", "2"];
      const args = ["prior", ...taskFlags(task), "--weights-path", task.checkpoint, ...length];
      await writeCacheOfLastVariants(cache);
      const whole = `${folder}/whole.safetensors`, plain = `${folder}/plain.safetensors`;
      await runJson([...args, "--out", whole, "--tuning-cache", cache]);
      await runJson([...args, "--out", plain]);
      assertNotEquals(await Deno.readFile(plain), await Deno.readFile(whole), "other kernels have other bits");

      while (!await exists(`${tuned}.checkpoint`)) {
        await Deno.remove(tuned).catch(() => {});
        await killAt([...args, "--out", tuned, "--tuning-cache", cache, "--quiet"], async (ended) => {
          while (!ended() && !await exists(`${tuned}.checkpoint`)) await pause(1);
        });
      }
      await Deno.remove(cache);
      await runJson(["prior", "--resume", "--out", tuned]);
      assertEquals(await Deno.readFile(tuned), await Deno.readFile(whole));
    });
  },
});

Deno.test("infer --autotune searches, keeps what it found, and goes on with what is left the next time", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), cache = `${folder}/cache/tuning.json`;
    const search = async (name: string) => {
      const flags = ["--tuning-cache", cache, "--tuning-seconds", "1"];
      const { code, stderr } = await runCli([...inferArgs(task, `${folder}/${name}`), ...flags], {
        permissions: PERMISSIONS,
      });
      assertEquals(code, 0, stderr);
      const [, unknown] = /^tuning (\d+) matrix products, for 1 s at most$/m.exec(stderr)!;
      const [, tuned] = /^tuned (\d+) in [\d.]+ s: /m.exec(stderr)!;
      return { unknown: Number(unknown), tuned: Number(tuned), table: tuningOf(`${folder}/${name}`) };
    };
    const first = await search("first"), second = await search("second");
    assert(first.tuned > 0 && first.tuned < first.unknown);
    assertEquals(Object.keys(first.table).length, first.tuned);
    assertEquals(second.unknown, first.unknown - first.tuned);
    assertEquals({ ...second.table, ...first.table }, second.table);
    const [entries] = Object.values(parseTuningCache(await Deno.readTextFile(cache)));
    const kept = Object.fromEntries(Object.entries(entries).map(([name, { variant }]) => [name, variant]));
    assertEquals(kept, second.table);
  });
});

Deno.test("infer tunes nothing on a CPU unless asked, asks for no permission, and says where it cannot keep", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const notesOf = async (name: string, permissions: string, flags: readonly string[] = []) => {
      const { code, stderr } = await runCli([...inferArgs(task, `${folder}/${name}`), ...flags], { permissions });
      assertEquals(code, 0, stderr);
      return stderr.split("\n").filter((line) => /tun(ed|ing)/.test(line));
    };
    assertEquals(await notesOf("a", PERMISSIONS), []);
    assertEquals(tuningOf(`${folder}/a`), {});
    const notes = await notesOf("b", PERMISSIONS, ["--autotune", "--tuning-seconds", "0"]);
    assertMatch(notes.join("\n"), /^what was tuned is not kept: the cache folder is not known \(--allow-env=/m);
    const broken = `${folder}/broken.json`;
    await Deno.writeTextFile(broken, "{");
    const warned = await notesOf("c", PERMISSIONS, ["--tuning-cache", broken, "--tuning-seconds", "0"]);
    assertEquals(warned.filter((line) => line.includes("broken.json is ignored")).length, 1);
    assertEquals(Object.keys(parseTuningCache(await Deno.readTextFile(broken))).length, 1);
  });
});

Deno.test("prior --dry-run and --tuning-cache search nothing and write nothing", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), cache = `${folder}/tuning.json`;
    const out = ["--out", `${folder}/p.safetensors`, "--dry-run", "--tuning-cache", cache];
    const { code, stderr } = await runCli(["prior", ...taskFlags(task), "--weights-path", task.checkpoint, ...out], {
      permissions: PERMISSIONS,
    });
    assertEquals([code, stderr], [0, ""]);
    assertEquals(await Deno.stat(cache).then(() => true, () => false), false);
  });
});

/** Tunes as if the device were a GPU; returns what was said. */
async function tuneAsGpu(gpu: Gpu, args: readonly string[]): Promise<string> {
  const said: string[] = [];
  const sink = { write: (text: string) => void said.push(text), columns: () => undefined };
  const command = defineCommand({ name: "c", summary: "", permissions: "", flags: TUNING_FLAGS });
  Object.assign(gpu, { adapter: { ...gpu.adapter, isCpu: false } });
  await tune(gpu, parseFlags(command, args), TINY, 8, createIo(sink, sink, { json: false, quiet: false }));
  return said.join("");
}

/** Runs `fn` with other environment variables; undefined: not set. */
async function withEnv(variables: Record<string, string | undefined>, fn: () => Promise<void>): Promise<void> {
  const before = Object.keys(variables).map((name) => [name, Deno.env.get(name)] as const);
  const set = (name: string, value: string | undefined) =>
    value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
  Object.entries(variables).forEach(([name, value]) => set(name, value));
  try {
    await fn();
  } finally {
    before.forEach(([name, value]) => set(name, value));
  }
}

Deno.test("tune() is on by default on a GPU whose cache can be written, and --no-autotune wins", async () => {
  await withFolder(async (folder) => {
    await withEnv({ XDG_CACHE_HOME: folder }, async () => {
      await withGpu({}, async (gpu) => {
        assertEquals(await tuneAsGpu(gpu, ["--no-autotune", "--tuning-cache", `${folder}/a.json`]), "");
        assertEquals(gpu.tuning, {});
        assertMatch(await tuneAsGpu(gpu, ["--tuning-seconds", "0.5"]), /^tuned [1-9]\d* in /m);
        const table = gpu.tuning;
        assert(Object.keys(table).length > 0);
        const cache = parseTuningCache(await Deno.readTextFile(`${folder}/swagpu/tuning.json`));
        assertEquals(Object.keys(cache[cacheKey(gpu)]).sort(), Object.keys(table).sort());
      });
    });
  });
});

Deno.test("tune() leaves a GPU's defaults where nothing can be kept, unless it is asked to search", async () => {
  await withEnv({ XDG_CACHE_HOME: undefined, HOME: undefined, LOCALAPPDATA: undefined }, async () => {
    await withGpu({}, async (gpu) => {
      assertMatch(
        await tuneAsGpu(gpu, []),
        /^matrix products are not tuned: .*; --autotune tunes them for this run\n$/,
      );
      assertEquals(gpu.tuning, {});
      assertMatch(await tuneAsGpu(gpu, ["--autotune", "--tuning-seconds", "0.1"]), /what was tuned is not kept/);
      assert(Object.keys(gpu.tuning).length > 0);
    });
  });
});

Deno.test("isTuned() follows the adapter, then the flags", () => {
  const on = (isCpu: boolean, flags: Parameters<typeof isTuned>[1]) => isTuned({ adapter: { isCpu } } as Gpu, flags);
  const flags = (autotune?: boolean, tuningCache?: string) => ({ autotune, tuningCache });
  assertEquals([on(false, flags()), on(true, flags())], [true, false]);
  assertEquals([on(true, flags(true)), on(true, flags(undefined, "f"))], [true, true]);
  assertEquals([on(false, flags(false)), on(true, flags(false, "f"))], [false, false]);
});

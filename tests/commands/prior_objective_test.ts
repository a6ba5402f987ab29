import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { FeatureEvaluation } from "../../lib/inference/features.ts";
import { readPrior } from "../../lib/priors/files.ts";
import { assertRefused, runCli, withFolder } from "../cli/run_cli.ts";
import { png, writeTree } from "../data/arrays.ts";
import { exists, killAt, killPrior, pause } from "./kill.ts";
import { makeTask, manifestOf, resultOf, runJson, type Task, taskFlags } from "./task.ts";

const PERMISSIONS = { permissions: "--allow-read --allow-write" };
const KILLS = 3;

/** Two epochs of 5 steps before 12 steps with snapshots. */
function args(task: Task, out: string, objective = "simclr"): string[] {
  const sizes = ["--proj-hidden-dim", "16", "--proj-output-dim", "8"];
  const length = ["--pretrain-epochs", "2", "--epochs", "10", "--max-steps", "12", "--checkpoint-steps", "3"];
  const swag = ["--swag-scheduler", "constant", "--interval-steps", "2", "--max-rank", "3", "--swa-lrs", "0.01"];
  return ["prior", "--objective", objective, ...taskFlags(task), ...sizes, ...length, ...swag, "--out", out];
}

Deno.test("prior --objective simclr learns a prior without labels or a checkpoint, which infer takes", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), out = `${folder}/learned.safetensors`, run = `${folder}/run`;
    const options = [
      "--optimizer",
      "lars",
      "--lr",
      "0.2",
      "--eta-lars",
      "0.02",
      "--grad-clip-lars",
      "--knn-every",
      "1",
      "--classifier-lr",
      "0.3",
    ];
    const result = await runJson([...args(task, out), ...options]);
    assertEquals([result.steps, result.snapshots, result.rank, result.parameters], [22, 6, 3, 18888]);
    assert(Number.isFinite(result.loss) && result.accuracy === undefined);
    // deno-lint-ignore no-explicit-any
    assertEquals(result.evaluations.map(({ steps }: any) => steps), [0, 5, 10, 15, 20]);
    for (const { knn, linear, online, chain } of result.evaluations) {
      assertEquals(chain, undefined);
      assert([knn, linear, online].every((share) => share >= 0 && share <= 1));
    }
    const { swag, metadata, model } = readPrior(await Deno.readFile(out));
    assertEquals([metadata.architecture, metadata.source], ["resnet8_narrow", "simclr, seed 1"]);
    assert(swag.covFactor.every((row) => row.some((value) => value !== 0)));
    assert([...model.keys()].every((name) => !name.startsWith("projector")));
    await runJson([
      "infer",
      ...taskFlags(task),
      "--prior-path",
      out,
      "--max-steps",
      "2",
      "--n-samples",
      "1",
      "--out",
      run,
    ]);
    assertEquals(manifestOf(run).length, 1);
  });
});

Deno.test("prior --objective begins with a checkpoint where one is given", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), out = `${folder}/learned.safetensors`;
    await runJson([...args(task, out), "--weights-path", task.checkpoint, "--optimizer", "adamw", "--lr", "0.001"]);
    assertEquals(readPrior(await Deno.readFile(out)).metadata.source, "init.safetensors");
  });
});

Deno.test("prior --objective simclr --supervised-contrast learns from labels, and is refused where there are none", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder),
      learn = async (name: string, ...more: string[]) => {
        const out = `${folder}/${name}.safetensors`;
        await runJson([...args(task, out), ...more]);
        return readPrior(await Deno.readFile(out));
      };
    const supervised = await learn("supervised", "--supervised-contrast");
    assertEquals(supervised.metadata.source, "simclr (supervised), seed 1");
    assertNotEquals(supervised.swag.mean, (await learn("plain")).swag.mean);
    assertEquals(supervised.swag.mean, (await learn("again", "--supervised-contrast")).swag.mean);
    const out = `${folder}/refused.safetensors`;
    const refused = async (options: string[], message: RegExp) =>
      assertRefused(await runCli([...options, "--supervised-contrast", "--quiet"], PERMISSIONS), 2, message);
    await refused(
      args(task, out, "byol"),
      /--supervised-contrast with --objective byol: of such flags it reads --proj-hidden-dim, /,
    );
    const labels = ["prior", ...taskFlags(task), "--weights-path", task.checkpoint, "--out", out];
    await refused(labels, /Cannot use --supervised-contrast with --objective supervised/);
    const files = { "unlabeled_X.bin": new Uint8Array(20 * 96 * 96 * 3) };
    await writeTree(`${folder}/stl10`, files);
    const stl10 = ["--train-dataset", "stl10", "--data-dir", `${folder}/stl10`, "--train-dir", "unlabelled"];
    await refused(
      ["prior", "--objective", "simclr", "--encoder", "resnet8_narrow", ...stl10, "--image-size", "16", "--out", out],
      /supervised variant of the objective simclr from stl10 \(unlabelled\): 20 of its 20 images have no labels, but all/,
    );
    assertEquals(await exists(out), false);
  });
});

Deno.test("prior --objective simclr cuts views out of the whole images of a folder, which it keeps decoded", async () => {
  await withFolder(async (folder) => {
    const files: Record<string, Uint8Array> = {};
    for (const part of ["train", "val"]) {
      for (let index = 0; index < 24; index++) {
        const height = 20 + 5 * index, width = 130 - 4 * index, colour = index % 3;
        const pixels = Uint8Array.from(
          { length: height * width * 3 },
          (_, at) => at % 3 === colour ? 200 : at * at % 90,
        );
        files[`${part}/${"abc"[colour]}/${index}.png`] = png(width, height, pixels);
      }
    }
    await writeTree(`${folder}/set`, files);
    const data = [
      "--train-dataset",
      "custom",
      "--data-dir",
      `${folder}/set`,
      "--image-size",
      "24",
      "--batch-size",
      "8",
    ];
    const learn = async (name: string, ...more: string[]) => {
      const out = `${folder}/${name}.safetensors`;
      const sizes = ["--encoder", "resnet8_narrow", "--proj-hidden-dim", "16", "--proj-output-dim", "8"];
      const length = ["--pretrain-epochs", "1", "--epochs", "1", "--swag-scheduler", "constant", "--max-rank", "2"];
      const cache = ["--cache-dir", `${folder}/cache`];
      const result = await runJson([
        ...["prior", "--objective", "simclr", ...data, ...sizes, ...length, ...cache, ...more, "--out", out],
      ]);
      return { result, prior: await Deno.readFile(out) };
    };
    const { result, prior } = await learn("measured", "--knn-every", "1");
    // deno-lint-ignore no-explicit-any
    assertEquals(result.evaluations.map(({ steps }: any) => steps), [0, 3, 6]);
    assertEquals((await learn("again")).prior, prior);
    assertNotEquals((await learn("other", "--seed", "2")).prior, prior);
  });
});

Deno.test("prior --objective refuses what it has not, by name", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), out = `${folder}/learned.safetensors`;
    const refused = async (options: string[], message: RegExp) =>
      assertRefused(await runCli([...options, "--quiet"], PERMISSIONS), 2, message);
    await refused(args(task, out, "pirl"), /--objective.*pirl.*supervised.*simclr/);
    const labels = ["prior", ...taskFlags(task), "--weights-path", task.checkpoint, "--out", out];
    await refused([...labels, "--knn-every", "1"], /Cannot use --knn-every with --objective supervised/);
    const classified = ["--knn-every", "1", "--momentum-classifier"];
    await refused(
      [...args(task, out), ...classified],
      /momentum classifier along with the objective simclr: it has no/,
    );
    await refused([...args(task, out), "--queue-size", "8"], /Cannot use --queue-size with --objective simclr/);
    await refused([...args(task, out, "wmse"), "--whitening-size", "5"], /batch of \d+ .* wmse: whiteningSize is 5/);
    await refused([...args(task, out, "deepclusterv2")], /Cannot make 3000 prototypes by the objective deepclusterv2/);
    const small = ["--num-small-crops", "2"];
    await refused(
      [...args(task, out), ...small],
      /Cannot use --num-small-crops 2 with --objective simclr: byol, deepclusterv2, dino, swav would/,
    );
    assertEquals(await exists(out), false);
    const planned = await runJson([...args(task, out, "swav"), ...small, "--num-prototypes", "8", "--dry-run"]);
    assert(planned.total > 0);
    const whitening = ["--whitening-size", "8", "--whitening-iters", "2"];
    const whitened = await runJson([...args(task, out, "wmse"), ...whitening, "--whitening-eps", "0.01", "--dry-run"]);
    assert(whitened.total > 0);
  });
});

Deno.test("prior --objective simclr learns every subspace, and merges chains that differ in their views", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const learn = async (name: string, ...more: string[]) => {
      const out = `${folder}/${name}.safetensors`;
      const { snapshots, rank } = await runJson([...args(task, out), ...more]);
      return { snapshots, rank, swag: readPrior(await Deno.readFile(out)).swag };
    };
    const sketch = await learn("sketch", "--subspace", "freq_dir"), two = await learn("two", "--chains", "2");
    assertEquals([sketch.snapshots, sketch.rank, sketch.swag.kind], [6, sketch.swag.covFactor.length, "components"]);
    // The snapshots are nearly parallel: a square below the rounding of the largest may be left out.
    assert(sketch.rank >= 1 && sketch.rank <= 3, `${sketch.rank} rows`);
    assertEquals([two.snapshots, two.rank, two.swag.kind], [12, 3, "mixture"]);
    // The first chain is that of the sketch; equal means would be equal chains.
    assert(two.swag.mean.some((value, p) => value !== sketch.swag.mean[p]));
  });
});

Deno.test("prior --objective simclr --dry-run states its memory and writes nothing", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), out = `${folder}/learned.safetensors`;
    const small = await runJson([...args(task, out), "--dry-run"]);
    const large = await runJson([...args(task, out), "--dry-run", "--optimizer", "adamw", "--batch-size", "16"]);
    assert(large.activations > 1.5 * small.activations && large.samplerState === 2 * small.samplerState);
    assertEquals(await exists(out), false);
  });
});

/** Objectives that remember, and their sizes. */
const REMEMBERING: [string, string, string[]][] = [
  // A queue of two and a half steps, which goes round between checkpoints.
  ["mocov2plus", "queue", ["--queue-size", "40", "--momentum-classifier"]],
  ["deepclusterv2", "clusters", ["--num-prototypes", "8", "--prototype-heads", "2", "--kmeans-iters", "3"]],
];

for (const [objective, memory, sizes] of REMEMBERING) {
  const begin = (task: Task, out: string) => [...args(task, out, objective), ...sizes, "--knn-every", "1"];
  Deno.test({
    name:
      `prior --objective ${objective} --resume, ${memory} and all, ends with a bit-identical prior after kills at ` +
      "random moments",
    ignore: Deno.build.os === "windows",
    async fn() {
      await withFolder(async (folder) => {
        const task = makeTask(folder), whole = `${folder}/whole.safetensors`, out = `${folder}/learned.safetensors`;
        const { evaluations } = await runJson(begin(task, whole));
        const has = sizes.includes("--momentum-classifier");
        assert(evaluations.every(({ momentum }: FeatureEvaluation) => has === (momentum !== undefined)));
        const last = await runJson(await killPrior({ begin: begin(task, out), out, whole, kills: KILLS }));
        assertEquals(await Deno.readFile(out), await Deno.readFile(whole));
        // What each process measured, up to the checkpoint that the next one went on from: nothing twice, nothing lost.
        assertEquals(last.evaluations, evaluations);
      });
    },
  });
}

Deno.test({
  name: "prior --knn-every says what it measures while it runs, by chain, and keeps it over a kill between chains",
  ignore: Deno.build.os === "windows",
  async fn() {
    await withFolder(async (folder) => {
      const task = makeTask(folder), whole = `${folder}/whole.safetensors`, out = `${folder}/learned.safetensors`;
      const begin = (path: string) => [...args(task, path), "--knn-every", "2", "--chains", "2"];
      const shown = await runCli([...begin(whole), "--json"], PERMISSIONS);
      const { evaluations } = resultOf(shown);
      // deno-lint-ignore no-explicit-any
      const places = evaluations.map(({ chain, steps }: any) => [chain, steps]);
      assertEquals(places, [[0, 0], [0, 10], [0, 20], [1, 0], [1, 10], [1, 20]]);
      const lines = shown.stderr.split("\n").filter((line) => line.includes("by nearest neighbours"));
      assertEquals(lines.map((line) => line.split(":")[0]), [
        ...[0, 10, 20].map((steps) => `chain 0, after ${steps} steps`),
        ...[0, 10, 20].map((steps) => `chain 1, after ${steps} steps`),
      ]);
      const { landed } = await killAt([...begin(out), "--quiet"], async (ended) => {
        while (!ended() && !await exists(`${out}.chain0`)) await pause(1);
      });
      assert(landed, "the kill fell behind the first chain");
      const last = await runJson(["prior", "--resume", "--out", out]);
      assertEquals(last.evaluations, evaluations);
      assertEquals(await Deno.readFile(out), await Deno.readFile(whole));
    });
  },
});

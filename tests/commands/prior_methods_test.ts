/** The ways in which `prior` learns: subspaces, several chains, curvature, and the original's counting. */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { readCheckpoint } from "../../lib/checkpoint/state_dict.ts";
import { readPrior } from "../../lib/priors/files.ts";
import { mergeSwag } from "../../lib/priors/merge.ts";
import { assertRefused, namesIn, runCli, withFolder } from "../cli/run_cli.ts";
import { exists, killAt, modified, pause } from "./kill.ts";
import { makeTask, resultOf, runJson, type Task, taskFlags } from "./task.ts";

const PERMISSIONS = { permissions: "--allow-read --allow-write" };

function priorArgs(task: Task, out: string, more: readonly string[]): string[] {
  return ["prior", ...taskFlags(task), "--weights-path", task.checkpoint, ...more, "--out", out];
}

/** Ten steps, a snapshot after each from the third on. */
const CONSTANT = ["--swag-scheduler", "constant", "--swa-lrs", "0.01", "--max-steps", "10", "--start-swag", "3"];

const swagAt = (path: string) => readPrior(Deno.readFileSync(path)).swag;

Deno.test("prior --start-swag, --interval-steps and --max-rank say which snapshots there are, and how many are kept", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const learn = async (...more: string[]) => {
      const out = `${folder}/prior${namesIn(folder).length}.safetensors`;
      const { snapshots, rank } = await runJson(priorArgs(task, out, [...CONSTANT, ...more]));
      return [snapshots, rank];
    };
    assertEquals(await learn(), [8, 7]);
    assertEquals(await learn("--interval-steps", "3", "--max-rank", "2"), [3, 2]);
    // After 4, 7 and 10 steps.
    assertEquals(await learn("--start-swag", "4", "--interval-steps", "3"), [3, 2]);
    assertEquals(await learn("--swag-scheduler", "cyclic", "--n-samples", "6", "--n-cycles", "2"), [6, 5]);
  });
});

Deno.test("prior --subspace learns each of them; what the others share is the same", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const found = [];
    for (
      const [subspace, ...more] of [["covariance"], ["pca", "--pca-rank", "2"], ["pca", "--pca-rank", "mle"], [
        "freq_dir",
      ], ["random"]]
    ) {
      const out = `${folder}/${[subspace, ...more].join("")}.safetensors`;
      const args = priorArgs(task, out, [...CONSTANT, "--max-rank", "4", "--subspace", subspace, ...more]);
      const { rank } = await runJson(args);
      found.push({ rank, swag: swagAt(out) });
    }
    for (const { swag } of found) {
      assertEquals([swag.mean, swag.variance], [found[0].swag.mean, found[0].swag.variance]);
    }
    assertEquals(found.map(({ rank }) => rank).toSpliced(2, 1), [4, 2, 4, 4]);
    assert(found[2].rank >= 1 && found[2].rank < 4);
    assertEquals(found.map(({ swag }) => swag.kind), [undefined, "components", "components", "components", "random"]);
  });
});

Deno.test("prior learns from labels from scratch: it trains first, and takes snapshots of what it came to", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const data = [
      "--train-dataset",
      "procedural-downstream",
      "--num-of-train-examples",
      "160",
      "--augmentation",
      "none",
    ];
    const learn = async (name: string, ...more: string[]) => {
      const out = `${folder}/${name}.safetensors`;
      const swag = ["--swag-scheduler", "constant", "--swa-lrs", "0.01", "--max-steps", "5", "--batch-size", "32"];
      const result = await runJson(["prior", "--encoder", "resnet8_narrow", ...data, ...swag, ...more, "--out", out]);
      return { ...result, prior: readPrior(Deno.readFileSync(out)) };
    };
    // Five steps an epoch. Chance is 2.30 nats and 0.1.
    const trained = await learn("trained", "--pretrain-epochs", "15", "--lr", "0.1");
    assertEquals([trained.steps, trained.snapshots, trained.rank], [80, 5, 4]);
    assert(trained.loss < 1.8 && trained.accuracy > 0.35, `${trained.loss} nats, ${trained.accuracy}`);
    assertEquals(trained.prior.metadata.source, "supervised, seed 1");
    const short = await learn("short", "--pretrain-epochs", "1", "--lr", "0.05");
    assertEquals(short.steps, 10);
    assert(short.loss > trained.loss + 0.3, `${short.loss} nats after one epoch`);
    const again = await learn("again", "--pretrain-epochs", "1", "--lr", "0.05");
    assertEquals(again.prior.swag, short.prior.swag);
    // What is trained first is what the checkpoint holds, where one is given.
    const further = await learn("further", "--pretrain-epochs", "1", "--lr", "0.05", "--weights-path", task.checkpoint);
    assertEquals([further.steps, further.prior.metadata.source], [10, "init.safetensors"]);
    assertNotEquals(further.prior.swag.mean, short.prior.swag.mean);
  });
});

Deno.test("prior refuses methods and ranks that contradict each other, before it learns", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), out = `${folder}/prior`;
    for (
      const [more, message] of [
        [["--pca-rank", "2"], /--pca-rank with --subspace covariance: --subspace pca is required/],
        [["--subspace", "pca", "--pca-rank", "21"], /--pca-rank 21: mle, or a whole number from 1 to --max-rank 20/],
        [["--subspace", "pca", "--pca-rank", "many"], /--pca-rank many: mle/],
        [["--subspace", "pca", "--format", "parts"], /with --format parts/],
        [["--chains", "2", "--format", "parts"], /with --format parts/],
        [["--method", "laplace", "--format", "parts"], /with --format parts/],
        [["--method", "fisher", "--objective", "simclr"], /--method fisher with --objective simclr/],
      ] as [string[], RegExp][]
    ) {
      assertRefused(await runCli([...priorArgs(task, out, more), "--quiet"], PERMISSIONS), 2, message);
    }
  });
});

Deno.test("prior refuses what only the end of its work would tell, before it replaces what was not finished", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), out = `${folder}/p.safetensors`, checkpoint = `${out}.checkpoint`;
    await Deno.writeTextFile(checkpoint, "of a prior that was not finished");
    for (
      const [more, message] of [
        [["--swag-scheduler", "constant", "--max-steps", "9", "--start-swag", "9"], /from 1 snapshots in 9 steps: at/],
        [["--swag-scheduler", "constant", "--max-steps", "9", "--start-swag", "10"], /Cannot take a snapshot after 10/],
        [["--max-steps", "1"], /Cannot learn a prior from 1 snapshots in 1 steps: at least 2 are required/],
        [["--method", "fisher", "--fisher-examples", "41"], /Cannot measure the curvature on 41 examples: 1 to 40 are/],
        [[...CONSTANT, "--profile", checkpoint], /Cannot write the profile .*: /],
      ] as [string[], RegExp][]
    ) {
      assertRefused(await runCli([...priorArgs(task, out, more), "--force", "--quiet"], PERMISSIONS), 1, message);
      assert(await exists(checkpoint), more.join(" "));
    }
  });
});

Deno.test("prior --chains merges chains that differ in the order of their images", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const learn = async (name: string, ...more: string[]) => {
      const out = `${folder}/${name}.safetensors`;
      return { ...await runJson(priorArgs(task, out, [...CONSTANT, ...more])), swag: swagAt(out) };
    };
    const one = await learn("one"), two = await learn("two", "--chains", "2");
    const cut = await learn("cut", "--chains", "2", "--max-rank", "5");
    assertEquals([two.snapshots, two.rank, two.kept, two.dropped, two.swag.kind], [16, 15, 1, 0, "mixture"]);
    assertEquals([cut.snapshots, cut.rank], [16, 5]);
    assert(cut.kept < 1 && cut.dropped > 0);
    assertEquals(cut.swag.mean, two.swag.mean);
    // The first chain is the one that is learned alone, so the other one's mean follows.
    const other = two.swag.mean.map((value: number, p: number) => 2 * value - one.swag.mean[p]);
    assertNotEquals(other, one.swag.mean);
    const alone = mergeSwag([one.swag]).swag;
    assert(two.swag.variance.some((value: number, p: number) => value !== alone.variance[p]));
    assertEquals(namesIn(folder).filter((name) => /chain|checkpoint/.test(name)), []);
  });
});

Deno.test({
  name: "prior --resume of several chains ends with a bit-identical prior, wherever it was killed",
  ignore: Deno.build.os === "windows",
  async fn() {
    await withFolder(async (folder) => {
      const task = makeTask(folder), whole = `${folder}/whole.safetensors`, out = `${folder}/killed.safetensors`;
      const more = [
        ...CONSTANT,
        "--chains",
        "3",
        "--max-rank",
        "4",
        "--checkpoint-steps",
        "4",
        "--subspace",
        "freq_dir",
      ];
      const { kept, snapshots } = await runJson(priorArgs(task, whole, more));
      const args = async () =>
        await exists(`${out}.checkpoint`) ? ["prior", "--resume", "--out", out] : priorArgs(task, out, more);
      // What a kill cut short is left under a name of its own, and nothing goes on from it.
      const left = () => namesIn(folder).filter((name) => /^killed\.safetensors\.(checkpoint|chain\d+)$/.test(name));
      const kills = new Set<string>();
      for (let turn = 0; turn < 12 && !await exists(out); turn++) {
        // At the next checkpoint, which is one of a chain or the end of one.
        const before = await modified(`${out}.checkpoint`);
        const { landed } = await killAt([...await args(), "--quiet"], async (ended) => {
          while (!ended() && await modified(`${out}.checkpoint`) === before) await pause(1);
          await pause(5 * (turn % 3));
        });
        if (landed) kills.add(left().filter((name) => !name.endsWith("checkpoint")).join());
      }
      assert(kills.size >= 2, "the kills all fell into one chain");
      const last = await exists(out) ? undefined : await runJson(await args());
      assertEquals(await Deno.readFile(out), await Deno.readFile(whole));
      if (last) assertEquals([last.kept, last.snapshots], [kept, snapshots]);
      assertEquals(left(), []);
    });
  },
});

Deno.test("prior --method laplace and fisher keep the checkpoint's weights and statistics, and differ in their labels", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const learn = async (method: string, ...more: string[]) => {
      const out = `${folder}/${method}${more.join("")}.safetensors`;
      const { rank, steps } = await runJson(priorArgs(task, out, ["--method", method, ...more]));
      assertEquals([rank, steps], [0, 0]);
      return readPrior(Deno.readFileSync(out));
    };
    const fisher = await learn("fisher"), laplace = await learn("laplace");
    const weights = await readCheckpoint(Deno.readFileSync(task.checkpoint), "init");
    for (const { model, swag } of [fisher, laplace]) {
      for (const [name, { data }] of model) assertEquals(data, weights.get(name)!.data);
      assertEquals(swag.kind, "curvature");
      // 1 / tau with tau = 40 images times 1e-4: the variance of a weight that no image moves.
      assert(swag.variance.every((value) => value > 0 && value <= Math.fround(2 / (40 * 1e-4))));
    }
    assertNotEquals(fisher.swag.variance, laplace.swag.variance);
    const few = await learn("fisher", "--fisher-examples", "7"),
      stiff = await learn("fisher", "--source-precision", "1e6");
    assertNotEquals(few.swag.variance, fisher.swag.variance);
    stiff.swag.variance.forEach((value) => assert(Math.abs(value * 1e6 / 2 - 1) < 0.1));
  });
});

Deno.test("prior --method laplace and fisher --dry-run say what will be measured, and write nothing", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), out = `${folder}/p.safetensors`, before = namesIn(folder);
    const plan = (method: string, ...more: string[]) =>
      runCli([...priorArgs(task, out, ["--method", method, ...more]), "--dry-run"], { permissions: "--allow-read" });
    const { activations: ofFisher, ...fisher } = resultOf(await plan("fisher", "--json", "--fisher-examples", "7"));
    assertEquals([fisher.method, fisher.examples, fisher.sourcePrecision], ["fisher", 7, 40 * 1e-4]);
    assert(fisher.squares >= 4 * 18888 && fisher.gradients > fisher.squares && fisher.parameters > fisher.gradients);
    assertEquals(fisher.samplerState, undefined);
    const { activations } = resultOf(await plan("laplace", "--json"));
    // Predictions of 8 images take more than a gradient of one.
    assert(activations > ofFisher, `${activations} of laplace, ${ofFisher} of fisher`);
    const { stdout } = await plan("laplace", "--fisher-examples", "7", "--source-precision", "2");
    assert(
      /^laplace: .* labels predicted; nothing is trained\nimages +7 of 40.*\nprecision +2\.000 /.test(stdout),
      stdout,
    );
    assertRefused(await plan("laplace", "--fisher-examples", "41"), 1, /curvature on 41 examples: 1 to 40 are/);
    assertEquals(namesIn(folder), before);
  });
});

Deno.test("prior --dry-run counts SWAG's vectors in the total, of each subspace", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder), out = `${folder}/p.safetensors`;
    const plan = (subspace: string, ...more: string[]) =>
      runCli([...priorArgs(task, out, ["--subspace", subspace, "--max-rank", "6", ...more]), "--dry-run"], {
        permissions: "--allow-read",
      });
    const plans = [];
    for (const subspace of ["covariance", "pca", "freq_dir", "random"]) {
      plans.push(resultOf(await plan(subspace, "--json")));
    }
    for (const { out: _, total, activationsLowerBound: __, ...parts } of plans) {
      const names = ["parameters", "gradients", "samplerState", "prior", "activations", "swag"];
      assertEquals(Object.keys(parts).sort(), names.sort());
      assertEquals(total, names.reduce((sum, name) => sum + parts[name], 0));
      assertEquals(parts.activations, plans[0].activations);
    }
    // Mean and squares, and six deviations, seven rows of a sketch, or one that only makes the kernels whole.
    const vector = plans[0].swag / 8;
    assert(vector >= 4 * 18888);
    assertEquals(plans.map(({ swag }) => swag / vector), [8, 8, 9, 3]);
    const { stdout } = await plan("covariance"), mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
    const lines = stdout.trimEnd().split("\n").slice(-2).map((line) => line.replace(/ +/, ": "));
    assertEquals(lines, [`SWAG: ${mebibytes(plans[0].swag)}`, `total: ${mebibytes(plans[0].total)}`]);
  });
});

Deno.test("D17, D18: prior --compat counts its steps otherwise and keeps the first BatchNorm statistics", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const learn = async (name: string, ...more: string[]) => {
      const out = `${folder}/${name}.safetensors`;
      await runJson(priorArgs(task, out, ["--epochs", "3", "--n-samples", "5", ...more]));
      return readPrior(Deno.readFileSync(out));
    };
    const correct = await learn("correct"), compat = await learn("compat", "--compat");
    const weights = await readCheckpoint(Deno.readFileSync(task.checkpoint), "init");
    const name = "bn1.running_mean";
    assertEquals(compat.model.get(name)!.data, weights.get(name)!.data);
    assertNotEquals(correct.model.get(name)!.data, weights.get(name)!.data);
    assertNotEquals(compat.swag.mean, correct.swag.mean);
    // The original takes snapshots where it learns without labels.
    const views = ["--objective", "simclr", "--proj-hidden-dim", "8", "--proj-output-dim", "4"];
    const unlabelled = await learn("views", ...views), original = await learn("views-compat", "--compat", ...views);
    assertEquals(original.model.get(name)!.data, weights.get(name)!.data);
    assertNotEquals(unlabelled.model.get(name)!.data, weights.get(name)!.data);
    const chains = await learn("views-chains", "--compat", "--chains", "2", ...views);
    assertEquals(chains.model.get(name)!.data, weights.get(name)!.data);
  });
});

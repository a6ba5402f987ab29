/** Priors of every kind under `infer`, and a prior from the labels of every data set. */

import { assert, assertEquals } from "@std/assert";
import { readCheckpoint } from "../../lib/checkpoint/state_dict.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { readPrior } from "../../lib/priors/files.ts";
import { isotropic, logDensity, shiftedGaussian } from "../../lib/priors/gaussian.ts";
import { withFolder } from "../cli/run_cli.ts";
import { flowerFiles, JPEG, petFiles, trimapPng, writeTree } from "../data/arrays.ts";
import { makeTask, manifestOf, runJson, taskFlags, TINY } from "./task.ts";

const CONSTANT = ["--swag-scheduler", "constant", "--swa-lrs", "0.01", "--max-steps", "6", "--max-rank", "3"];

Deno.test("infer samples under a prior of every kind and of fewer rows; each sample has its log density", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const kinds: [string, string[], number[]][] = [
      ["deviations", CONSTANT, [3, 2]],
      ["components", [...CONSTANT, "--subspace", "pca"], [1]],
      ["components", [...CONSTANT, "--subspace", "freq_dir"], [2]],
      ["random", [...CONSTANT, "--subspace", "random"], [2]],
      ["mixture", [...CONSTANT, "--chains", "2"], [1]],
      ["curvature", ["--method", "fisher"], [0]],
      ["point", ["--method", "last-layer", "--head-laplace", "diagonal"], [0]],
    ];
    for (const [index, [kind, flags, ranks]] of kinds.entries()) {
      const out = `${folder}/${index}.safetensors`;
      await runJson(["prior", ...taskFlags(task), "--weights-path", task.checkpoint, ...flags, "--out", out]);
      const { swag } = readPrior(Deno.readFileSync(out));
      assertEquals(swag.kind ?? "deviations", kind);
      for (const rank of ranks) {
        const run = `${folder}/run${index}-${rank}`, scale = 2, eps = 1e-4;
        await runJson([
          ...["infer", ...taskFlags(task), "--prior-path", out, "--prior-scale", "2", "--prior-eps", "1e-4"],
          ...["--number-of-samples-prior", String(rank), "--max-steps", "3", "--n-samples", "1"],
          ...["--schedule", "constant", "--lr", "1e-3", "--head-variance", "5", "--out", run],
        ]);
        const [{ file, logPrior }] = manifestOf(run);
        const sample = await readCheckpoint(Deno.readFileSync(`${run}/${file}`), "sample");
        const vector = (part: "backbone" | "head") =>
          Float32Array.from(
            layoutModel(TINY)[part].entries.flatMap(({ name }) => [...sample.get(name)!.data as Float32Array]),
          );
        const head = vector("head");
        const expected = logDensity(shiftedGaussian(swag, { scale, eps, rank }), vector("backbone")) +
          logDensity(isotropic(new Float32Array(head.length), 5), head);
        assert(Math.abs(logPrior / expected - 1) < 1e-4, `${kind}, rank ${rank}: ${logPrior}, not ${expected}`);
      }
    }
  });
});

/** Records of CIFAR-100: coarse and fine label, then 32 x 32 x 3 bytes. */
function cifar100(count: number): Uint8Array {
  return Uint8Array.from({ length: count * 3074 }, (_, i) => {
    const at = i % 3074, record = Math.floor(i / 3074);
    if (at < 2) return at === 0 ? record % 20 : record % 100;
    return i * 7919 % 251;
  });
}

/** STL-10's binaries, of 96 x 96 images. */
function stl10(train: number, test: number): Record<string, Uint8Array> {
  const images = (count: number) => new Uint8Array(count * 96 * 96 * 3).map((_, i) => i * 7919 % 251);
  const labels = (count: number) => Uint8Array.from({ length: count }, (_, i) => 1 + i % 10);
  return {
    "train_X.bin": images(train),
    "train_y.bin": labels(train),
    "test_X.bin": images(test),
    "test_y.bin": labels(test),
  };
}

/** A folder a class, two photographs each. */
function folders(split: string, classes: readonly string[]): Record<string, Uint8Array> {
  return Object.fromEntries(
    classes.flatMap((name) => [1, 2].map((image) => [`${split}/${name}/${image}.jpg`, JPEG] as const)),
  );
}

Deno.test("prior --objective supervised learns from scratch on every data set that can be trained on", async () => {
  await withFolder(async (folder) => {
    const hundred = Array.from({ length: 100 }, (_, i) => `n${String(i).padStart(8, "0")}`);
    const sets: Record<string, [Record<string, Uint8Array | string>, number]> = {
      cifar100: [{ "train.bin": cifar100(12), "test.bin": cifar100(3) }, 100],
      stl10: [stl10(12, 3), 10],
      imagenet: [folders("train", ["n00000001", "n00000002"]), 2],
      imagenet100: [folders("train", hundred), 100],
      oxford102flowers: [flowerFiles(), 102],
      oxfordpets: [petFiles(trimapPng([1])), 37],
      custom: [folders("train", ["cat", "dog", "emu"]), 3],
    };
    const task = makeTask(folder);
    for (const [name, [files]] of [...Object.entries(sets), ["cifar10", [{}]] as const]) {
      const dir = name === "cifar10" ? task.data : `${folder}/${name}`, out = `${folder}/${name}.safetensors`;
      await writeTree(dir, files);
      const found = await runJson([
        ...["prior", "--encoder", "resnet8_narrow", "--train-dataset", name, "--data-dir", dir, "--image-size", "32"],
        ...["--transforms", "original", "--batch-size", "2", "--pretrain-epochs", "1", "--lr", "0.01"],
        ...["--swag-scheduler", "constant", "--swa-lrs", "0.01", "--max-steps", "2", "--epochs", "5", "--out", out],
      ]);
      assert(Number.isFinite(found.loss) && found.steps > 2, `${name}: loss ${found.loss} after ${found.steps} steps`);
      const { swag, metadata } = readPrior(Deno.readFileSync(out));
      assertEquals([found.snapshots, swag.covFactor.length, metadata.architecture], [2, 1, "resnet8_narrow"]);
      assert(swag.mean.every(Number.isFinite) && swag.variance.some((value) => value > 1e-6), name);
    }
  });
});

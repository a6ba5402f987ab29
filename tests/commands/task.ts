/** A tiny task in files: 10 classes in CIFAR's format, a checkpoint and a prior of an 18,888-parameter ResNet. */

import { writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { initialWeights, stateDictFromWeights } from "../../lib/models/weights.ts";
import { writePrior } from "../../lib/priors/files.ts";
import { writePriorParts } from "../../lib/priors/parts.ts";
import type { PriorFile } from "../../lib/priors/prior_file.ts";
import { PhiloxSequence } from "../../lib/random/philox.ts";
import { type CliResult, runCli } from "../cli/run_cli.ts";

/** Bytes of a record: a label and 32 x 32 x 3 pixels. */
export const RECORD_BYTES = 3073;

/** The network of the task. */
export const TINY: ClassifierConfig = { encoder: "resnet8_narrow", numClasses: 10, height: 32, width: 32 };

/** Paths of the task's files. */
export interface Task {
  /** `data_batch_1.bin` (40 records), `test_batch.bin` (23). */
  readonly data: string;
  readonly checkpoint: string;
  readonly prior: string;
  /** Prefix of the prior's four files. */
  readonly parts: string;
}

/** CIFAR-10 records whose colour tells their class. */
export function cifarRecords(count: number, seed: number): Uint8Array {
  const random = new PhiloxSequence(seed, 100);
  const bytes = new Uint8Array(count * RECORD_BYTES);
  for (let record = 0; record < count; record++) {
    bytes[record * RECORD_BYTES] = record % 10;
    for (let pixel = 1; pixel < RECORD_BYTES; pixel++) {
      bytes[record * RECORD_BYTES + pixel] = (record % 10) * 12 + Math.floor(random.uniform() * 128);
    }
  }
  return bytes;
}

/** A prior of rank 3 about the checkpoint's weights. */
export function tinyPrior(config: ClassifierConfig = TINY): PriorFile {
  const layouts = layoutModel(config);
  const weights = initialWeights(layouts, 3);
  const random = new PhiloxSequence(5, 101);
  const draw = (scale: number) => weights.backbone.map(() => scale * random.normal());
  return {
    swag: {
      mean: weights.backbone,
      variance: draw(1e-2).map((value) => value * value + 1e-4),
      covFactor: [draw(1e-2), draw(1e-2), draw(1e-2)],
    },
    parameters: layouts.backbone.entries.map(({ name, torchShape }) => ({ name, shape: torchShape })),
    model: stateDictFromWeights(layouts, weights, ["backbone", "state"]),
    metadata: { architecture: config.encoder, source: "init.safetensors", sourceSha256: "", software: "test" },
  };
}

/** Writes the task into a folder. */
export function makeTask(folder: string): Task {
  const data = `${folder}/cifar`, checkpoint = `${folder}/init.safetensors`;
  const prior = `${folder}/prior.safetensors`, parts = `${folder}/parts`;
  Deno.mkdirSync(data);
  Deno.writeFileSync(`${data}/data_batch_1.bin`, cifarRecords(40, 1));
  Deno.writeFileSync(`${data}/test_batch.bin`, cifarRecords(23, 2));
  const layouts = layoutModel(TINY);
  Deno.writeFileSync(checkpoint, writeSafetensors(stateDictFromWeights(layouts, initialWeights(layouts, 3))));
  const file = tinyPrior();
  Deno.writeFileSync(prior, writePrior(file));
  for (const [name, bytes] of Object.entries(writePriorParts(file))) Deno.writeFileSync(`${parts}_${name}.pt`, bytes);
  return { data, checkpoint, prior, parts };
}

/** Flags of the task's network and images. */
export function taskFlags({ data }: Task): string[] {
  return ["--encoder", "resnet8_narrow", "--train-dataset", "cifar10", "--data-dir", data, "--batch-size", "8"];
}

/** The last line of stdout as JSON; fails with stderr where the command failed. */
// deno-lint-ignore no-explicit-any
export function resultOf({ code, stdout, stderr }: CliResult): any {
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
}

/** Runs a command under its stated permissions and returns its `--json` object. */
// deno-lint-ignore no-explicit-any
export async function runJson(args: readonly string[]): Promise<any> {
  const permissions = args[0] === "evaluate" ? "--allow-read" : "--allow-read --allow-write";
  return resultOf(await runCli([...args, "--json", "--quiet"], { permissions }));
}

/** The run's manifest. */
// deno-lint-ignore no-explicit-any
export function manifestOf(run: string): any[] {
  return JSON.parse(Deno.readTextFileSync(`${run}/samples/manifest.json`)).samples;
}

/** The SHA-256 of each sample of a run, by file. */
export function sampleHashes(run: string): string[] {
  return manifestOf(run).map(({ file, sha256 }) => `${file} ${sha256}`);
}

/** (chain, step) of every line of `metrics.jsonl`. */
export function stepsIn(run: string): string[] {
  return Deno.readTextFileSync(`${run}/metrics.jsonl`).trimEnd().split("\n").map((line) => {
    const { chain, step, loss } = JSON.parse(line);
    if (!Number.isFinite(loss)) throw new Error(`no loss in ${line}`);
    return `${chain}:${step}`;
  });
}

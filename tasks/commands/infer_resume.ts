/**
 * What a run of `infer` writes down so that it can go on: its flags, and a hash of all that it reads.
 *
 * @module
 */

import type { Flags } from "./infer.ts";
import type { Plan } from "./infer_plan.ts";
import { sha256OfArrays } from "./hashes.ts";
import type { RunFolder } from "./run_writer.ts";

/** Flags that do not change what a run computes; a resumed run takes them from the command line. */
const FREE_FLAGS = [
  "out",
  "json",
  "quiet",
  "resume",
  "dryRun",
  "checkpointSteps",
  "profile",
  "autotune",
  "tuningCache",
  "tuningSeconds",
] as const;

/** The flags that a run is repeated with. */
export function settingsOf(flags: Flags): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(flags).filter(([name]) => !(FREE_FLAGS as readonly string[]).includes(name)),
  );
}

/**
 * What a run is started with stays; only where it and its network's file lie and how it reports is taken from the command
 * line.
 */
export function resumedFlags(given: Flags, { config }: RunFolder): Flags {
  const free = Object.fromEntries(FREE_FLAGS.map((name) => [name, given[name]]));
  const onnx = config.flags.onnx === undefined ? undefined : given.onnx ?? config.flags.onnx;
  return { operands: given.operands, ...config.flags, ...free, onnx };
}

/** What a run depends on besides its flags, as SHA-256. */
export function inputsOf({ train, val, chain }: Plan): Record<string, string> {
  const { backbone, head, state } = chain.weights;
  const prior = chain.prior === undefined ? [] : [chain.prior.mean, chain.prior.psi, ...chain.prior.rows];
  return {
    train: train.hash,
    val: val.hash,
    weights: sha256OfArrays([backbone, head, state]),
    prior: sha256OfArrays(prior),
  };
}

/** Refuses to go on with a run on other images, or from other weights or another prior. */
export function requireSameInputs(plan: Plan, { path, config }: RunFolder): void {
  const names = { train: "training images", val: "validation images", weights: "first weights", prior: "prior" };
  const inputs = inputsOf(plan);
  for (const [key, name] of Object.entries(names)) {
    if (config.data[key] === inputs[key]) continue;
    throw new Error(`Cannot resume ${path}: the ${name} differ from the run's; the same ones are required`);
  }
}

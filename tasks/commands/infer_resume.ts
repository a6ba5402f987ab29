/**
 * What a run of `infer` depends on besides its flags, so that it goes on only from the same.
 *
 * @module
 */

import type { Plan } from "./infer_plan.ts";
import { sha256OfArrays } from "./hashes.ts";
import type { RunFolder } from "./run_writer.ts";

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

/**
 * Learning a prior by one chain or by several that are merged; it can stop anywhere and resume exactly.
 *
 * @module
 */

import type { Gpu } from "../../lib/gpu/device.ts";
import type { LearnedPrior } from "../../lib/inference/learn_prior.ts";
import { mergeChains, type MergeChainsOptions, type MergedPrior } from "../../lib/inference/multi_swag.ts";
import {
  type LearnedChain,
  type PriorResumePoint,
  type PriorSettings,
  readChain,
  writeChain,
  writePriorCheckpoint,
} from "./prior_checkpoint.ts";
import type { PriorEvaluation, PriorHooks, PriorLearning } from "./prior_learning.ts";

/** What the chains are, and where they keep what they have done. */
export interface ChainsPlan {
  /** Path of the prior that is to be; checkpoints lie beside it. */
  readonly out: string;
  readonly chains: number;
  readonly learning: PriorLearning;
  readonly settings: PriorSettings;
  /** How the chains are merged. */
  readonly merge: MergeChainsOptions;
  readonly hooks: Omit<PriorHooks, "onCheckpoint" | "onEvaluation">;
  /** Called before a chain begins or goes on. */
  onChain?(chain: number): void;
  /** Receives what is measured. */
  onEvaluation(evaluation: PriorEvaluation): void;
}

/** What the chains learned, and what was measured of all of them along the way, before a stop too. */
export interface ChainsOutcome {
  readonly learned: LearnedPrior | MergedPrior;
  readonly evaluations: readonly PriorEvaluation[];
}

/**
 * Learns all chains, one after another, from the start or from where they stopped, and merges them. A chain that ended
 * is kept in a file of its own until the prior is there.
 */
export async function learnChains(
  gpu: Gpu,
  plan: ChainsPlan,
  from: PriorResumePoint = { chain: 0, evaluations: [] },
): Promise<ChainsOutcome> {
  const { out, chains, learning, settings } = plan;
  const learned: LearnedChain[] = [], evaluations = [...from.evaluations];
  for (let chain = 0; chain < from.chain; chain++) learned.push(await readChain(out, chain));
  for (let chain = from.chain; chain < chains; chain++) {
    plan.onChain?.(chain);
    const hooks: PriorHooks = {
      ...plan.hooks,
      onEvaluation(measured) {
        const evaluation = { chain, ...measured };
        evaluations.push(evaluation);
        plan.onEvaluation(evaluation);
      },
      onCheckpoint: (checkpoint) =>
        writePriorCheckpoint(out, learning.layouts, settings, { chain, checkpoint, evaluations }),
    };
    const prior = await learning.learn(hooks, chain === from.chain ? from.checkpoint : undefined, chain);
    if (chains === 1) return { learned: prior, evaluations };
    await writeChain(out, chain, prior);
    // Were it to stop between the two, the chain's end would be done again, with the same result.
    if (chain + 1 < chains) {
      await writePriorCheckpoint(out, learning.layouts, settings, { chain: chain + 1, evaluations });
    }
    learned.push(prior);
  }
  const snapshots = learned.reduce((sum, chain) => sum + chain.snapshots, 0);
  return { learned: await mergeChains(gpu, learned.map(({ swag }) => swag), snapshots, plan.merge), evaluations };
}

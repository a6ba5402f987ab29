/**
 * What the flags of `prior` say of SWAG: when snapshots are taken, and what is kept of them.
 *
 * @module
 */

import { UsageError } from "../../lib/errors.ts";
import type { Schedule } from "../../lib/inference/schedules.ts";
import { constantSwag, cyclicalSwag } from "../../lib/inference/swag_schedules.ts";
import type { PcaRank } from "../../lib/priors/subspace/principal_components.ts";
import type { Flags } from "./prior.ts";

/** Learning rates and snapshots, by the steps of an epoch. */
export function scheduleOf(flags: Flags, stepsPerEpoch: number): Schedule {
  const steps = Math.min(flags.maxSteps ?? Infinity, flags.epochs * stepsPerEpoch);
  const learningRate = flags.swaLrs, start = Math.max(1, flags.startSwag);
  if (flags.swagScheduler === "constant") {
    const annealing = flags.annealFrom === undefined
      ? undefined
      : { from: flags.annealFrom, steps: flags.annealingEpochs * stepsPerEpoch };
    return constantSwag({ learningRate, steps, start, interval: flags.intervalSteps, annealing });
  }
  const samples = Math.min(flags.nSamples, Math.max(1, steps - start + 1));
  const compat = flags.compat ? { epochs: flags.epochs, stepsPerEpoch } : undefined;
  return cyclicalSwag({ learningRate, steps, start, cycles: flags.nCycles ?? samples, samples, compat });
}

/**
 * The value of `--pca-rank`.
 *
 * @throws UsageError where it is none
 */
export function pcaRankOf({ pcaRank, subspace, maxRank }: Flags): PcaRank | undefined {
  if (pcaRank === undefined) return undefined;
  if (subspace !== "pca") {
    throw new UsageError(`Cannot use --pca-rank with --subspace ${subspace}: --subspace pca is required`);
  }
  if (pcaRank === "mle") return pcaRank;
  const rank = Number(pcaRank);
  if (Number.isInteger(rank) && rank >= 1 && rank <= maxRank) return rank;
  throw new UsageError(
    `Cannot use --pca-rank ${pcaRank}: mle, or a whole number from 1 to --max-rank ${maxRank}, is required`,
  );
}

/**
 * Refuses what would fail, or would mean something else, only after the training.
 *
 * @throws UsageError that names the flags
 */
export function requireConsistentMethod(flags: Flags): void {
  const { method, objective, format, subspace, chains } = flags;
  if (method !== "swag" && objective !== "supervised") {
    throw new UsageError(
      `Cannot use --method ${method} with --objective ${objective}: --objective supervised is required`,
    );
  }
  if (format === "parts" && (method !== "swag" || subspace !== "covariance" || chains > 1)) {
    throw new UsageError(
      "Cannot write this prior with --format parts: the four files mean the deviations of one chain and cannot say " +
        "otherwise; --format safetensors is required",
    );
  }
  pcaRankOf(flags);
}

/**
 * The schedule of a run of `infer`: its steps, cycles and samples. Defaults give way where a run is short; what the
 * command line asks for does not.
 *
 * @module
 */

import { UsageError } from "../../lib/errors.ts";
import { constant, cosine, cyclical, mostInCycles, type Schedule } from "../../lib/inference/schedules.ts";
import { givenFlags } from "../cli/flags.ts";
import type { Flags } from "./infer.ts";

const LONGER = "more steps (--epochs, --max-steps)";

/**
 * The schedule of a run. A run that goes on has the one that it began with: cycles and samples depend on the flags'
 * values alone.
 *
 * @throws UsageError where the flags are given, and ask for more cycles or samples than the steps hold
 */
export function scheduleOf(flags: Flags, stepsPerEpoch: number): Schedule {
  const steps = Math.min(flags.maxSteps ?? Infinity, flags.epochs * stepsPerEpoch);
  const common = { learningRate: flags.lr, steps };
  if (flags.schedule === "cyclical") {
    const cycles = cyclesOf(flags, steps), within = `${counted(cycles, "cycle")} of ${counted(steps, "step")}`;
    const most = Math.min(mostInCycles(steps, cycles), secondHalf(steps));
    return cyclical({ ...common, cycles, samples: samplesOf(flags, most, within) });
  }
  const samples = samplesOf(flags, secondHalf(steps), `the second half of ${counted(steps, "step")}`);
  return flags.schedule === "constant" ? constant({ ...common, samples }) : cosine({ ...common, samples });
}

function counted(count: number, name: string): string {
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}

/** Steps after the burn-in. */
function secondHalf(steps: number): number {
  return Math.ceil(steps / 2);
}

/** The most cycles of which each can keep a sample, not above `--n-cycles`. */
function cyclesOf(flags: Flags, steps: number): number {
  const { nCycles } = flags;
  let cycles = Math.min(nCycles, steps);
  while (cycles > 0 && mostInCycles(steps, cycles) === 0) cycles--;
  if (cycles === 0) {
    throw new UsageError(
      `Cannot use --schedule cyclical for ${
        counted(steps, "step")
      }: a cycle begins without noise, and nothing is left of it to ` +
        `keep a sample; ${LONGER} are required`,
    );
  }
  if (cycles < nCycles && isGiven(flags, "nCycles")) {
    throw new UsageError(
      `Cannot use --n-cycles ${nCycles} for ${
        counted(steps, "step")
      }: a cycle begins without noise, and of the last one nothing ` +
        `is left to keep a sample; --n-cycles ${cycles} or ${LONGER} are required`,
    );
  }
  return cycles;
}

function samplesOf(flags: Flags, most: number, within: string): number {
  const { sampler, nSamples } = flags;
  if (sampler === "sgd") return 1;
  if (nSamples <= most || !isGiven(flags, "nSamples")) return Math.min(nSamples, most);
  throw new UsageError(
    `Cannot keep --n-samples ${nSamples} in ${within}: --n-samples ${most} at most, or ${LONGER}, are required`,
  );
}

function isGiven(flags: Flags, name: "nCycles" | "nSamples"): boolean {
  return givenFlags(flags)?.has(name) ?? false;
}

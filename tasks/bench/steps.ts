/**
 * Whole training steps against other systems: same weights, same batch, momentum SGD.
 *
 * @module
 */

import type { Peer, Problem, Trainer } from "./peers/peer.ts";
import { ownPeer } from "./peers/swagpu.ts";
import { makeProblem } from "./problem.ts";
import type { Context } from "./section.ts";
import { measure, relativeError, requireClose, type Spread } from "./statistics.ts";
import type { Cell, Table } from "./table.ts";

/** Float32 sums in another order: a mean loss is good to 1e-6 or so. */
const LOSS_TOLERANCE = 1e-4;

/**
 * Relative error of the gradient that passes without remark. A ReLU whose input is nearly 0 may fall on either side, and
 * fresh deep networks amplify it: one such element of ResNet-20 at batch 8 changes the gradient by 0.5 %, and PyTorch's
 * own float32 gradient is off from its float64 one by 2.6 % (ResNet-50, batch 1), 1.7 % (batch 4) and 0.8 % (ResNet-18,
 * batch 2). Where no element is so near, all systems agree to 2e-6.
 */
function gradientTolerance(encoder: string): number {
  return sizeOf(encoder) === 224 ? 0.05 : 0.01;
}

/**
 * Relative error of the gradient above which a system is not timed: a wrong or missing term is off by more. Below, one
 * that leaves something out still does nearly the work of one that does not, and is timed with a remark. (tfjs 4.22 on
 * lavapipe adds up 61,511 of the 65,536 places of a 32x32 filter gradient at batch 64, and all of them up to batch 32.)
 */
const GRADIENT_LIMIT = 0.1;

/** Loss and change of the weights of a system's first step; the change is -learning rate times the gradient. */
interface FirstStep {
  readonly loss: number;
  readonly change: Float32Array;
}

async function firstStep(trainer: Trainer, { weights }: Problem): Promise<FirstStep> {
  const loss = await trainer.steps(1);
  const now = await trainer.weights();
  return { loss, change: now.map((value, i) => value - weights[i]) };
}

/** A system that runs, or why it does not. */
type Entry = { readonly peer: Peer; readonly trainer: Trainer; readonly agreement: string } | {
  readonly peer: Peer;
  readonly failure: string;
};

async function enter(peer: Peer, problem: Problem, expected: FirstStep): Promise<Entry> {
  let trainer: Trainer | undefined;
  try {
    trainer = await peer.open(problem);
    const { loss, change } = await firstStep(trainer, problem);
    const lossError = Math.abs(loss / expected.loss - 1), gradientError = relativeError(change, expected.change);
    requireClose(`${peer.name}'s loss`, lossError, LOSS_TOLERANCE);
    requireClose(`${peer.name}'s gradient`, gradientError, GRADIENT_LIMIT);
    const remark = gradientError > gradientTolerance(problem.encoder) ? " (wrong: timed all the same)" : "";
    return {
      peer,
      trainer,
      agreement: `loss ${lossError.toExponential(0)}, gradient ${gradientError.toExponential(0)}${remark}`,
    };
  } catch (error) {
    await trainer?.close();
    return { peer, failure: (error as Error).message.split("\n")[0] };
  }
}

/** Times one problem on all systems. */
async function compare({ gpu, peers, effort, log }: Context, problem: Problem): Promise<Cell[][]> {
  const { encoder, batchSize, size } = problem;
  log(`steps: ${encoder} at ${size}, batch ${batchSize}`);
  const own = ownPeer(gpu);
  const trainer = await own.open(problem);
  const entries: Entry[] = [{ peer: own, trainer, agreement: "reference" }];
  const expected = await firstStep(trainer, problem);
  for (const peer of peers) {
    if (peer.trains(encoder)) entries.push(await enter(peer, problem, expected));
  }
  const running = entries.flatMap((entry) => "trainer" in entry ? [entry] : []);
  const times = await measure(
    new Map(running.map(({ peer, trainer }) => [peer, { run: (count: number) => trainer.steps(count) }])),
    effort,
  );
  for (const { trainer } of running) await trainer.close();
  const ours: Spread = times.get(own)!;
  return entries.map((entry) => {
    const head = [encoder, size, batchSize, entry.peer.name];
    if ("failure" in entry) return [...head, undefined, undefined, undefined, entry.failure];
    const spread = times.get(entry.peer)!;
    return [...head, spread, 1000 * batchSize / spread.median, spread.median / ours.median, entry.agreement];
  });
}

/** Images of a network: CIFAR's size or ImageNet's. */
export function sizeOf(encoder: string): number {
  return ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"].includes(encoder) ? 224 : 32;
}

/** The section. */
export async function steps(context: Context): Promise<Table[]> {
  const rows: Cell[][] = [];
  for (const [encoder, batches] of context.batches) {
    for (const batch of batches) rows.push(...await compare(context, makeProblem(encoder, batch, sizeOf(encoder))));
  }
  return [{
    title: "Training steps",
    note:
      "Forward pass, backward pass and momentum SGD on one batch, in float32. Before it is timed, each system's first " +
      "loss and gradient (as the change of the weights) from the same weights are compared with ours. A loss off by more " +
      `than ${LOSS_TOLERANCE}, or a gradient by more than ${GRADIENT_LIMIT} (relative), is refused; a gradient off by more ` +
      "than 0.01 (0.05 at 224, where PyTorch's own float32 is off from its float64 by up to 0.026) is remarked upon. " +
      "Ours also uploads the batch, keeps running statistics and reports losses in each step; tfjs and jax-js keep the " +
      "batch on the device, and no statistics. " +
      "Milliseconds: median and quartiles. Last but one: how many times as long as ours.",
    columns: ["network", "size", "batch", "system", "ms a step", "images/s", "time / ours", "agreement or failure"],
    rows,
  }];
}

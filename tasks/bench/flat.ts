/**
 * Kernels that are bound by memory: elementwise operations, and what works on the flat vectors of all weights. Their
 * measure is a copy from buffer to buffer.
 *
 * @module
 */

import { Control } from "../../lib/gpu/control.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { type Launch, submitLaunches } from "../../lib/gpu/launch.ts";
import { copyBandwidth } from "../../lib/gpu/peaks.ts";
import { FlatVector, layoutVector, type VectorLayout } from "../../lib/graph/vector.ts";
import { controlOf, type SamplerName, type SamplerSettings } from "../../lib/inference/samplers.ts";
import { FlatUpdate } from "../../lib/inference/update.ts";
import { add } from "../../lib/ops/add.ts";
import type { Parameter } from "../../lib/ops/operation.ts";
import { relu } from "../../lib/ops/relu.ts";
import { DeviceGaussian } from "../../lib/priors/device_gaussian.ts";
import { SwagCollector } from "../../lib/priors/swag.ts";
import { prepareOperation, someNumbers, timeLaunches } from "./operation.ts";
import { randomPrior } from "./prior.ts";
import type { Context } from "./section.ts";
import { measure, relativeError, requireClose, type Spread } from "./statistics.ts";
import type { Cell, Table } from "./table.ts";

/** An activation of ResNet-50's first stage, batch 16. */
const ACTIVATION = [16, 56, 56, 64] as const;
const RANK = 5;
const TOLERANCE = 1e-5;
const LEARNING_RATE = 0.1;
const MOMENTUM = 0.9;

/** A row of the table; `floats` counts those that a launch reads and writes, for each element. */
function rowOf(name: string, elements: number, floats: number, time: Spread, copy: number): Cell[] {
  const bandwidth = 4 * floats * elements / time.median * 1000;
  return [name, elements, floats, time, bandwidth / 1e9, 100 * bandwidth / copy];
}

async function elementwise({ gpu, effort, log }: Context): Promise<Cell[][]> {
  log("memory: elementwise operations");
  const elements = ACTIVATION.reduce((product, size) => product * size, 1);
  const copy = await copyBandwidth(gpu, 4 * elements);
  const rows: Cell[][] = [["copy from buffer to buffer", elements, 2, undefined, copy / 1e9, 100]];
  const unary = await prepareOperation(gpu, { x: ACTIVATION }, ({ x }) => relu("relu", x), ["x"]);
  const binary = await prepareOperation(gpu, { a: ACTIVATION, b: ACTIVATION }, ({ a, b }) => add("add", a, b), []);
  try {
    submitLaunches(gpu, "elementwise", [...unary.forward, ...unary.gradient("x"), ...binary.forward]);
    const [x, dOutput, a, b] = [[unary, "x"], [unary, "dOutput"], [binary, "a"], [binary, "b"]].map(([from, name]) =>
      (from as typeof unary).values.get(name as string)!
    );
    requireClose("relu", relativeError(await unary.read("output"), x.map((value) => Math.max(value, 0))), 0);
    const gradient = dOutput.map((value, i) => x[i] > 0 ? value : 0);
    requireClose("the gradient of relu", relativeError(await unary.read("d x"), gradient), 0);
    requireClose("add", relativeError(await binary.read("output"), a.map((value, i) => value + b[i])), 0);
    const timed = async (name: string, floats: number, launches: readonly Launch[]) =>
      rows.push(rowOf(name, elements, floats, await timeLaunches(gpu, launches, effort.rounds), copy));
    await timed("relu", 2, unary.forward);
    await timed("relu, gradient", 3, unary.gradient("x"));
    await timed("add", 3, binary.forward);
  } finally {
    unary.destroy();
    binary.destroy();
  }
  return rows;
}

/** Floats of one step of a sampler for each parameter: theta, gradient, state; with a prior its two passes. */
const FLOATS: Readonly<Record<"sgd" | "sgld" | "sghmc", { readonly plain: number; readonly prior: number }>> = {
  sgd: { plain: 5, prior: 11 + 2 * RANK },
  sgld: { plain: 3, prior: 9 + 2 * RANK },
  sghmc: { plain: 5, prior: 14 + 2 * RANK },
};

/** Vectors of a model that is nothing but parameters. */
export function flatLayout(count: number, maxBindingBytes: number): VectorLayout {
  const shape = [count];
  const parameter: Parameter = {
    name: "parameters",
    shape,
    torchShape: shape,
    role: "parameter",
    vector: "backbone",
    layout: "vector",
  };
  return layoutVector("backbone", [parameter], maxBindingBytes);
}

/**
 * Times one step of a sampler, under a prior of that rank or none, after checking that without noise, and with a prior that says nothing, it is SGD's.
 */
export async function timeSampler(
  gpu: Gpu,
  layout: VectorLayout,
  sampler: SamplerName,
  rank: number | undefined,
  rounds: number,
): Promise<Spread> {
  const count = layout.count;
  const control = new Control(gpu, "bench");
  const theta = new FlatVector(gpu, "theta", layout), gradient = new FlatVector(gpu, "gradient", layout);
  const prior = rank === undefined ? undefined : new DeviceGaussian(gpu, layout, randomPrior(count, rank, 1e9));
  const settings: SamplerSettings = {
    sampler,
    momentum: MOMENTUM,
    temperature: 1,
    numData: 1000,
    priorStep: "implicit",
  };
  const update = await FlatUpdate.create(gpu, control, {
    label: "bench",
    sampler,
    theta,
    gradient,
    prior,
    priorStep: "implicit",
    stream: 1,
    anchorStream: 3,
  });
  try {
    const before = someNumbers(count, 1), slope = someNumbers(count, 2);
    const at = { seed: 1, chain: 0, step: 0, learningRate: LEARNING_RATE };
    const quiet = controlOf(settings, { ...at, noisy: false });
    theta.write(before);
    gradient.write(slope);
    control.write(quiet);
    submitLaunches(gpu, "bench", update.launches(quiet.priorStep!));
    const after = await theta.read();
    const moved = before.map((value, i) => value - LEARNING_RATE * slope[i]);
    requireClose(`a step of ${sampler}`, relativeError(after, moved), TOLERANCE);
    const noisy = controlOf(settings, { ...at, noisy: sampler !== "sgd" });
    control.write(noisy);
    // Twice: the gram of the prior is worked out where its step changed, and kept from then on.
    update.launches(noisy.priorStep!);
    return await timeLaunches(gpu, update.launches(noisy.priorStep!), rounds);
  } finally {
    update.destroy();
    prior?.destroy();
    theta.destroy();
    gradient.destroy();
    control.destroy();
  }
}

async function flatVectors({ gpu, effort, parameters, log }: Context): Promise<Cell[][]> {
  const layout = flatLayout(parameters, gpu.maxBindingBytes);
  const copy = await copyBandwidth(gpu, 4 * parameters);
  const rows: Cell[][] = [["copy from buffer to buffer", parameters, 2, undefined, copy / 1e9, 100]];
  for (const sampler of ["sgd", "sgld", "sghmc"] as const) {
    for (const withPrior of [false, true]) {
      const name = `${sampler} step${withPrior ? `, learned prior of rank ${RANK}` : ""}`;
      log(`memory: ${name}`);
      const time = await timeSampler(gpu, layout, sampler, withPrior ? RANK : undefined, effort.rounds);
      rows.push(rowOf(name, parameters, FLOATS[sampler][withPrior ? "prior" : "plain"], time, copy));
    }
  }
  rows.push(await swag(gpu, layout, effort, copy));
  return rows;
}

/** A snapshot reads theta, mean and squares, and writes mean, squares and a row. */
async function swag(gpu: Gpu, layout: VectorLayout, effort: Context["effort"], copy: number): Promise<Cell[]> {
  const theta = new FlatVector(gpu, "theta", layout);
  const collector = await SwagCollector.create(gpu, theta, { maxRank: RANK });
  try {
    const [first, second] = [someNumbers(layout.count, 1), someNumbers(layout.count, 2)];
    for (const values of [first, second]) {
      theta.write(values);
      collector.collect();
    }
    const { mean } = await collector.read();
    const expected = first.map((value, i) => (value + second[i]) / 2);
    requireClose("a SWAG snapshot", relativeError(mean, expected), TOLERANCE);
    const work = {
      async run(count: number) {
        for (let i = 0; i < count; i++) collector.collect();
        await gpu.finish();
      },
    };
    const times = await measure(new Map([["swag", work]]), effort);
    return rowOf(`SWAG snapshot, rank ${RANK}`, layout.count, 6, times.get("swag")!, copy);
  } finally {
    collector.destroy();
    theta.destroy();
  }
}

/** The section. */
export async function memory(context: Context): Promise<Table[]> {
  const columns = ["kernel", "elements", "floats moved each", "ms", "GB/s", "% of a copy"];
  return [
    {
      title: "Elementwise operations",
      note: `On [${ACTIVATION}]; results equal the host's exactly. Device time. GB/s counts what must be read and ` +
        "written; a copy counts twice.",
      columns,
      rows: await elementwise(context),
    },
    {
      title: "Kernels of the flat vectors",
      note:
        "Before it is timed, a step without noise, under a prior that is wide enough to say nothing, must be SGD's " +
        `to ${TOLERANCE}. Device time of all launches of a step, draws of noise included; the SWAG snapshot by the clock.`,
      columns,
      rows: await flatVectors(context),
    },
  ];
}

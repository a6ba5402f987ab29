/**
 * BatchNorm's statistics left by the convolutions against a pass over their outputs, in turns in one process: forward
 * passes, whole steps up to the gradients, and the memory that they take.
 *
 * deno run -A tests/bench/moments.ts [cpu|gpu] [f32|mixed] [ENCODER]
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { type Gpu, type KernelSchedule, openGpu } from "../../lib/gpu/device.ts";
import { type Launch, submitLaunches } from "../../lib/gpu/launch.ts";
import { lowerBackward, lowerForward } from "../../lib/graph/graph.ts";
import { packActivations, type Precision } from "../../lib/graph/precision.ts";
import { compile, type Program } from "../../lib/graph/program.ts";
import { FlatVector } from "../../lib/graph/vector.ts";
import { buildClassifier } from "../../lib/models/classifier.ts";
import { DeviceModel } from "../../lib/models/device_model.ts";
import { initialWeights } from "../../lib/models/weights.ts";
import { type Target, targetOf } from "../../lib/ops/operation.ts";
import { sizeOf } from "../../lib/tensor.ts";

/** Encoder, batch, side of the images. */
const NETWORKS: readonly (readonly [string, number, number])[] = [["resnet20", 64, 32], ["resnet18", 4, 224]];
/** Forward passes and whole steps of each way, in turns, after some to warm up. */
const FORWARD_ROUNDS = 31, STEP_ROUNDS = 9, WARM_UP = 2;

const medianOf = (times: readonly number[]) => times.toSorted((a, b) => a - b)[times.length >> 1];

/** Milliseconds of each of the sequences, in turns. */
async function timesOf(gpu: Gpu, sequences: readonly (readonly Launch[])[], rounds: number): Promise<number[][]> {
  const times = sequences.map((): number[] => []);
  for (let round = -WARM_UP; round < rounds; round++) {
    for (const [which, launches] of sequences.entries()) {
      const start = performance.now();
      submitLaunches(gpu, "step", launches);
      await gpu.finish();
      if (round >= 0) times[which].push(performance.now() - start);
    }
  }
  return times;
}

async function measure(
  gpu: Gpu,
  [encoder, batch, side]: typeof NETWORKS[number],
  precision: Precision,
): Promise<string> {
  const model = new DeviceModel(gpu, { encoder, numClasses: 10, height: side, width: side });
  model.write(initialWeights(model.layouts, 1));
  const { graph, images, colours, labels, totals } = buildClassifier(model.config, batch);
  const { backbone, head } = model.layouts;
  const gradients = {
    backbone: new FlatVector(gpu, "gradient", backbone),
    head: new FlatVector(gpu, "gradient", head),
  };
  const externals = new Map([
    [images, gpu.createBuffer("images", sizeOf(images.shape))],
    [colours, gpu.createBuffer("colours", 24)],
    [labels, gpu.createBuffer("labels", 4 * batch)],
  ]);
  gpu.device.queue.writeBuffer(externals.get(colours)!, 0, Float32Array.of(0.01, 0.01, 0.01, -1, -1, -1));
  const bytes = Uint8Array.from({ length: sizeOf(images.shape) }, (_, i) => Math.imul(i, 2654435761) >>> 24);
  gpu.device.queue.writeBuffer(externals.get(images)!, 0, bytes);
  // Computing once more leaves no moments: the pass over the activation does it.
  const target = targetOf(gpu, { training: true }), apart: Target = { ...target, again: true };
  const programs: Program[] = [], forwardPasses: (readonly Launch[])[] = [];
  for (const way of [apart, target]) {
    const forward = lowerForward(graph, way), launches = [...forward, ...lowerBackward(graph, way)];
    const stored = precision === "mixed" ? packActivations(graph, launches, [totals]) : launches;
    const bound = { vectors: model.vectors, gradients, externals, keep: [totals] };
    const program = await compile(gpu, stored, { label: "step", ...bound });
    programs.push(program);
    forwardPasses.push(program.launches.slice(0, forward.length));
  }
  const forward = await timesOf(gpu, forwardPasses, FORWARD_ROUNDS);
  const steps = await timesOf(gpu, programs.map(({ launches }) => launches), STEP_ROUNDS);
  const memory = programs.map(({ plan }) => plan.slabs.reduce((sum, slab) => sum + slab, 0) / 1e6);
  programs.forEach((program) => program.destroy());
  externals.forEach((buffer) => gpu.destroyBuffer(buffer));
  Object.values(gradients).forEach((vector) => vector.destroy());
  model.destroy();
  const cells = [
    `${encoder}, batch ${batch}, ${side} x ${side}`,
    precision,
    gpu.schedule,
    ...[forward, steps].flatMap((times) =>
      [medianOf, (all: readonly number[]) => Math.min(...all)].flatMap((pick) => {
        const [pass, epilogue] = times.map(pick);
        return [pass, epilogue, pass - epilogue].map((ms) => ms.toFixed(1));
      })
    ),
    ...memory.map((megabytes) => megabytes.toFixed(1)),
  ];
  return `| ${cells.join(" | ")} |`;
}

/** Those that the arguments name; all where they name none. */
function namedOf<T>(all: readonly T[], nameOf: (value: T) => string): readonly T[] {
  const named = all.filter((value) => Deno.args.includes(nameOf(value)));
  return named.length > 0 ? named : all;
}

const compared = ["forward, median", "forward, quickest", "step, median", "step, quickest"];
const heads = ["network", "precision", "schedule"].concat(
  compared.flatMap((what) => [`${what}: pass, ms`, "epilogue", "saved"]),
  ["memory: pass, MB", "epilogue"],
);
console.log(`| ${heads.join(" | ")} |\n|${heads.map((_, i) => i < 3 ? "---|" : "---:|").join("")}`);
const schedule = (["cpu", "gpu"] as const satisfies readonly KernelSchedule[]).find((name) => Deno.args.includes(name));
const precisions = namedOf<Precision>(["f32", "mixed"], (name) => name);
const gpu = await openGpu({ schedule });
for (const network of namedOf(NETWORKS, ([name]) => name)) {
  for (const precision of precisions) console.log(await measure(gpu, network, precision));
}
gpu.destroy();

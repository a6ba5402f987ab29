/**
 * Whole networks against PyTorch: logits, loss, every gradient, running statistics and ten training losses.
 *
 * @module
 */

import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { type Gpu, type GpuOptions, openGpu } from "../../lib/gpu/device.ts";
import { submitLaunches } from "../../lib/gpu/launch.ts";
import { fuse } from "../../lib/graph/fuse.ts";
import { Graph, lowerBackward, lowerForward } from "../../lib/graph/graph.ts";
import { compile } from "../../lib/graph/program.ts";
import { FlatVector, layoutVector } from "../../lib/graph/vector.ts";
import { Control } from "../../lib/gpu/control.ts";
import { controlOf, type SamplerSettings } from "../../lib/inference/samplers.ts";
import { FlatUpdate } from "../../lib/inference/update.ts";
import { encoderConfig } from "../../lib/models/classifier.ts";
import { resnet, RESNETS } from "../../lib/models/resnet.ts";
import { linear } from "../../lib/ops/linear.ts";
import { targetOf, type Tensor } from "../../lib/ops/operation.ts";
import { softmaxCrossEntropy } from "../../lib/ops/softmax_cross_entropy.ts";
import { sizeOf } from "../../lib/tensor.ts";
import { autotune } from "../../lib/tuning/autotune.ts";
import { collectProducts, type ProductClass } from "../../lib/tuning/products.ts";
import { type NetworkFixture, readNetwork, relativeError } from "../fixtures/network.ts";
import published from "../fixtures/networks/torchvision_parameters.json" with { type: "json" };

/** The fixture's network as a graph over float images. */
function buildGraph({ name, batch, size, classes }: NetworkFixture, fused: boolean) {
  const graph = new Graph();
  const config = encoderConfig(name);
  const images = graph.external("images", [batch, size, size, 3]);
  const labels = graph.external("labels", [batch]);
  const features = resnet(graph, config, images);
  const weight = graph.parameter("head", `${config.headName}.weight`, "linear", [classes, features.shape[1]]);
  const bias = graph.parameter("head", `${config.headName}.bias`, "vector", [classes]);
  const logits = graph.apply(linear(config.headName, features, weight, bias));
  const totals = graph.apply(softmaxCrossEntropy("loss", logits, labels));
  return { graph: fused ? fuse(graph, [logits, totals]) : graph, images, labels, logits, totals };
}

/** Everything that a comparison needs, on the device. */
function prepare(gpu: Gpu, fixture: NetworkFixture, fused: boolean) {
  const model = buildGraph(fixture, fused);
  const vector = (kind: "backbone" | "head" | "state", label: string) =>
    new FlatVector(gpu, label, layoutVector(kind, model.graph.parametersOf(kind), gpu.maxBindingBytes));
  const vectors = {
    backbone: vector("backbone", "weights"),
    head: vector("head", "weights"),
    state: vector("state", "weights"),
  };
  const gradients = { backbone: vector("backbone", "gradient"), head: vector("head", "gradient") };
  for (const target of [vectors.backbone, vectors.head]) {
    const values = new Float32Array(target.layout.count);
    for (const entry of target.layout.entries) {
      const parameter = fixture.parameters.get(entry.name);
      if (parameter === undefined) throw new RangeError(`the fixture has no ${entry.name}`);
      assertEquals(parameter.shape, [...entry.torchShape]);
      values.set(parameter.data, entry.torchOffset);
    }
    target.write(values);
  }
  const resetStatistics = () => {
    const values = new Float32Array(vectors.state.layout.count);
    for (const { name, torchOffset, size } of vectors.state.layout.entries) {
      if (name.endsWith("running_var")) values.fill(1, torchOffset, torchOffset + size);
    }
    vectors.state.write(values);
  };
  resetStatistics();
  const externals = new Map<Tensor, GPUBuffer>([model.images, model.labels].map((tensor) => [
    tensor,
    gpu.createBuffer(tensor.name, sizeOf(tensor.shape) * 4),
  ]));
  gpu.device.queue.writeBuffer(externals.get(model.images)!, 0, Float32Array.from(fixture.images.data));
  gpu.device.queue.writeBuffer(externals.get(model.labels)!, 0, Uint32Array.from(fixture.labels));
  return { ...model, vectors, gradients, externals };
}

/** Norm of the difference over the norm of the recorded. */
function distance(found: Float32Array, recorded: Float64Array): number {
  let difference = 0, norm = 0;
  recorded.forEach((value, i) => {
    difference += (found[i] - value) ** 2;
    norm += value ** 2;
  });
  return Math.sqrt(difference / norm);
}

/** Sets how matrix products are computed, given those of a network. */
type Tuning = (gpu: Gpu, products: readonly ProductClass[]) => void | Promise<void>;

async function compareNetwork(
  name: string,
  fused: boolean,
  options: GpuOptions = {},
  tuning?: Tuning,
): Promise<void> {
  const fixture = readNetwork(name);
  using gpu = await openGpu(options);
  const network = prepare(gpu, fixture, fused);
  const { graph, vectors, gradients, externals, logits, totals } = network;
  const bound = { vectors, gradients, externals, keep: [logits, totals] };
  const read = async (program: Awaited<ReturnType<typeof compile>>, tensor: Tensor) => {
    const { buffer, offset, size } = program.rangeOf(tensor);
    return new Float32Array(await gpu.read(buffer, offset, size));
  };
  const products = collectProducts(targetOf(gpu, { training: true }), (target) => {
    lowerForward(graph, target);
    lowerBackward(graph, target);
  });
  await tuning?.(gpu, products);
  const target = targetOf(gpu, { training: false });
  const evaluation = await compile(gpu, lowerForward(graph, target), { label: "evaluate", ...bound });
  submitLaunches(gpu, "evaluate", evaluation.launches);
  // The bounds are 1e-4 for logits and 1e-3 for gradients; PyTorch's own float32 error is 1e-5 at worst.
  assert(distance(await read(evaluation, logits), fixture.evalLogits.data) < 1e-4, "evaluation logits");

  const training = { ...target, training: true };
  const launches = [...lowerForward(graph, training), ...lowerBackward(graph, training)];
  const program = await compile(gpu, launches, { label: "train", ...bound });
  submitLaunches(gpu, "train", program.launches);
  const logitError = distance(await read(program, logits), fixture.logits.data);
  assert(logitError < 1e-4, `training logits differ by ${logitError}`);
  const [loss, , count] = await read(program, totals);
  assertAlmostEquals(loss / count, fixture.loss, 1e-4 * fixture.loss);
  const parts = [gradients.backbone, gradients.head];
  const values = await Promise.all(parts.map((part) => part.read()));
  for (const recorded of fixture.gradients) {
    const which = parts.findIndex((part) => part.layout.entries.some((entry) => entry.name === recorded.name));
    const { torchOffset, size } = parts[which].layout.entries.find((entry) => entry.name === recorded.name)!;
    const error = relativeError(values[which].subarray(torchOffset, torchOffset + size), recorded);
    assert(error < 1e-3, `the gradient of ${recorded.name} differs by ${error}`);
  }
  const state = await vectors.state.read();
  for (const recorded of fixture.buffers) {
    const { torchOffset, size } = vectors.state.layout.entries.find((entry) => entry.name === recorded.name)!;
    const error = relativeError(state.subarray(torchOffset, torchOffset + size), recorded);
    assert(error < 1e-4, `${recorded.name} differs by ${error}`);
  }
  const losses = await trainTenSteps(gpu, fixture, network, program.launches, () => read(program, totals));
  // Ten steps amplify rounding: PyTorch's own float32 and float64 differ by up to 5e-4 (write_networks.py).
  losses.forEach((value, step) =>
    assertAlmostEquals(value, fixture.trainingLosses[step], 5e-3, `loss of step ${step}`)
  );
}

async function trainTenSteps(
  gpu: Gpu,
  fixture: NetworkFixture,
  { vectors, gradients }: ReturnType<typeof prepare>,
  launches: Parameters<typeof submitLaunches>[2],
  totals: () => Promise<Float32Array>,
): Promise<number[]> {
  const control = new Control(gpu, "sgd");
  const settings: SamplerSettings = {
    sampler: "sgd",
    momentum: fixture.momentum,
    weightDecay: fixture.weightDecay,
    temperature: 0,
    numData: fixture.batch,
    priorStep: "explicit",
  };
  const common = { sampler: "sgd", priorStep: "explicit", stream: 0, anchorStream: 9 } as const;
  const updates = [
    await FlatUpdate.create(gpu, control, {
      ...common,
      label: "backbone",
      theta: vectors.backbone,
      gradient: gradients.backbone,
    }),
    await FlatUpdate.create(gpu, control, { ...common, label: "head", theta: vectors.head, gradient: gradients.head }),
  ];
  const losses: number[] = [];
  for (let step = 0; step < 10; step++) {
    control.write(controlOf(settings, { seed: 0, chain: 0, step, learningRate: fixture.learningRate, noisy: false }));
    submitLaunches(gpu, "step", [...launches, ...updates.flatMap((update) => update.launches(0))]);
    const [sum, , count] = await totals();
    losses.push(sum / count);
  }
  return losses;
}

for (const name of ["resnet20", "resnet18", "resnet50"]) {
  Deno.test(`${name} agrees with PyTorch: logits, gradients, statistics and ten losses`, () =>
    compareNetwork(name, true));
}

Deno.test("resnet20 agrees with PyTorch where no operations are fused", () => compareNetwork("resnet20", false));

Deno.test("resnet20 agrees with PyTorch under the schedule of discrete GPUs", () => {
  return compareNetwork("resnet20", true, { schedule: "gpu" });
});

for (const schedule of ["cpu", "gpu"] as const) {
  Deno.test(`resnet20 agrees with PyTorch with the variants that a search finds, schedule ${schedule}`, () => {
    return compareNetwork("resnet20", true, { schedule }, async (gpu, products) => {
      // The products with the most work come first; all of them take minutes on a CPU.
      const { rows, left, table } = await autotune(gpu, products, { seconds: 20 });
      assertEquals(rows.flatMap(({ rejected }) => rejected), []);
      assert(rows.length > 0);
      assertEquals(rows.length + left, products.filter(({ variants }) => variants.length > 1).length);
      assertEquals(gpu.tuning, table);
    });
  });

  Deno.test(`resnet20 agrees with PyTorch with no product in its default way, schedule ${schedule}`, () => {
    return compareNetwork("resnet20", true, { schedule }, (gpu, products) => {
      assert(products.filter(({ variants }) => variants.length > 1).length >= 18);
      gpu.tuning = Object.fromEntries(products.map(({ shapeClass, variants }) => [shapeClass, variants.at(-1)!.name]));
    });
  });
}

Deno.test("RESNETS have torchvision's parameters in torchvision's order", () => {
  const counts: Record<string, number> = {};
  for (
    const [name, recorded] of Object.entries(
      published as unknown as Record<string, { parameters?: [string, number[]][] }>,
    )
  ) {
    if (!(name in RESNETS)) continue;
    const graph = new Graph();
    resnet(graph, encoderConfig(name), graph.external("images", [1, 224, 224, 3]));
    const found = graph.parametersOf("backbone").map((parameter) => [parameter.name, [...parameter.torchShape]]);
    assertEquals(found, recorded.parameters ?? recorded);
    counts[name] = graph.parametersOf("backbone").reduce((sum, { torchShape }) => sum + sizeOf(torchShape), 0);
  }
  assertEquals(counts.resnet50, 23_508_032);
  assertEquals(counts.resnet101, 42_500_160);
  assertEquals(Object.keys(counts).length, 9);
});

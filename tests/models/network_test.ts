/**
 * Whole networks against PyTorch: logits, loss, every gradient, running statistics and ten training losses.
 *
 * @module
 */

import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { type Gpu, type GpuOptions, openGpu } from "../../lib/gpu/device.ts";
import { submitLaunches } from "../../lib/gpu/launch.ts";
import { Graph, lowerBackward, lowerForward } from "../../lib/graph/graph.ts";
import { compile } from "../../lib/graph/program.ts";
import { Control } from "../../lib/gpu/control.ts";
import { controlOf, type SamplerSettings } from "../../lib/inference/samplers.ts";
import { FlatUpdate } from "../../lib/inference/update.ts";
import { residualConfig } from "../../lib/models/network.ts";
import { GraphLayers } from "../../lib/models/layers.ts";
import { residualFeatures, RESNETS } from "../../lib/models/resnet.ts";
import { targetOf, type Tensor } from "../../lib/ops/operation.ts";
import { sizeOf } from "../../lib/tensor.ts";
import { autotune } from "../../lib/tuning/autotune.ts";
import { collectProducts, type ProductClass } from "../../lib/tuning/products.ts";
import { type NetworkFixture, readNetwork, relativeError } from "../fixtures/network.ts";
import { distance, prepare, type PreparedNetwork } from "./network.ts";
import published from "../fixtures/networks/torchvision_parameters.json" with { type: "json" };

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
  const network = prepare(gpu, fixture, { fused });
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
  { vectors, gradients }: PreparedNetwork,
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
      const { rows, left, table } = await autotune(gpu, products, { seconds: 5 });
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
    residualFeatures(
      new GraphLayers(graph),
      residualConfig({ encoder: name }),
      graph.external("images", [1, 224, 224, 3]),
    );
    const found = graph.parametersOf("backbone").map((parameter) => [parameter.name, [...parameter.torchShape]]);
    assertEquals(found, recorded.parameters ?? recorded);
    counts[name] = graph.parametersOf("backbone").reduce((sum, { torchShape }) => sum + sizeOf(torchShape), 0);
  }
  assertEquals(counts.resnet50, 23_508_032);
  assertEquals(counts.resnet101, 42_500_160);
  assertEquals(Object.keys(counts).length, 9);
});

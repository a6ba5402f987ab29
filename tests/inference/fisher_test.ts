/** The Fisher information's diagonal against PyTorch's gradients of single examples (`write_curvature.py`). */

import { assert, assertAlmostEquals, assertEquals, AssertionError, assertRejects, assertThrows } from "@std/assert";
import type { ImageSet } from "../../lib/data/dataset.ts";
import {
  drawLabels,
  estimateFisher,
  fisherDiagonal,
  type FisherLabels,
  type FisherOptions,
} from "../../lib/inference/fisher.ts";
import type { ClassifierConfig } from "../../lib/models/classifier.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import type { Weights } from "../../lib/models/weights.ts";
import { PhiloxSequence, Stream } from "../../lib/random/philox.ts";
import recorded from "../fixtures/curvature.json" with { type: "json" };
import { gpuTests } from "../gpu/harness.ts";
import { hash32, hashedLabels, hashedParameter, hashedValues } from "../reference/hashed.ts";

const gpuTest = gpuTests();
const { count, size, classes, mean, std, parameters } = recorded.fisher;
const CONFIG: ClassifierConfig = { encoder: "resnet8", numClasses: classes, height: size, width: size };
const layouts = layoutModel(CONFIG);

/** The fixture's weights: parameters by their order in PyTorch, statistics by theirs. */
function hashedWeights(): Weights {
  const names = Object.keys(parameters);
  const fill = (part: "backbone" | "head") => {
    const values = new Float32Array(layouts[part].count);
    for (const { name, torchShape, torchOffset } of layouts[part].entries) {
      values.set(hashedParameter(name, torchShape, names.indexOf(name), "bn2.weight"), torchOffset);
    }
    return values;
  };
  const state = new Float32Array(layouts.state.count);
  const buffers = layouts.parameters.filter(({ vector }) => vector === "state").map(({ name }) => name);
  for (const { name, torchOffset, size } of layouts.state.entries) {
    const [scale, offset] = name.endsWith("mean") ? [0.1, 0] : [0.2, 1];
    state.set(hashedValues(500 + buffers.indexOf(name), size, scale, offset), torchOffset);
  }
  return { backbone: fill("backbone"), head: fill("head"), state };
}

const SET: ImageSet = {
  name: "hashed",
  height: size,
  width: size,
  channels: 3,
  classNames: Array.from({ length: classes }, (_, c) => String(c)),
  labels: hashedLabels(901, count, classes),
  images: Uint8Array.from({ length: count * size * size * 3 }, (_, i) => hash32(900, i) % 256),
  hash: "",
};
const OPTIONS: FisherOptions = {
  model: CONFIG,
  weights: hashedWeights(),
  train: SET,
  normalisation: { mean: mean as [number, number, number], std: std as [number, number, number] },
  labels: "data",
  seed: 1,
};

/** Asserts the norm of each parameter's part and some of its elements. */
function assertRecorded(found: Float32Array, wanted: typeof parameters): void {
  assertEquals(layouts.backbone.entries.length, Object.keys(wanted).length - 2);
  for (const { name, torchOffset, size } of layouts.backbone.entries) {
    const expected = wanted[name as keyof typeof wanted];
    const values = found.subarray(torchOffset, torchOffset + size);
    const norm = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
    assert(Math.abs(norm / expected.norm - 1) < 1e-4, `${name}: ${norm}, not ${expected.norm}`);
    expected.at.forEach((at, i) => assertAlmostEquals(values[at], expected.values[i], 1e-4 * expected.norm));
  }
}

gpuTest("fisherDiagonal() is the mean squared gradient of single examples, as PyTorch has it", async (gpu) => {
  assertRecorded(await fisherDiagonal(gpu, OPTIONS), parameters);
});

gpuTest(
  "fisherDiagonal() by labels drawn from the predictions is what PyTorch makes of the same draws",
  async (gpu) => {
    const { order, uniforms, labels, parameters: wanted } = recorded.drawn;
    assertEquals([...new PhiloxSequence(OPTIONS.seed, Stream.subset).shuffle(SET.labels.map((_, i) => i))], order);
    const numbers = order.map((_, row) => new PhiloxSequence(OPTIONS.seed, Stream.predictedLabel, row).uniform());
    assertEquals(numbers, uniforms);
    assertRecorded(await fisherDiagonal(gpu, { ...OPTIONS, labels: "model" }), wanted);
    // The same by the labels that PyTorch drew, and by no others.
    const drawn = { ...OPTIONS, train: { ...SET, labels: Uint32Array.from(labels) } };
    assertRecorded(await fisherDiagonal(gpu, drawn), wanted);
    const moved = { ...SET, labels: Uint32Array.from([...labels.slice(1), labels[0]]) };
    const others = await fisherDiagonal(gpu, { ...OPTIONS, train: moved });
    assertThrows(() => assertRecorded(others, wanted), AssertionError);
  },
);

gpuTest(
  "fisherDiagonal() takes labels from the network's predictions where it is asked to, and as many as asked for",
  async (gpu) => {
    const data = await fisherDiagonal(gpu, OPTIONS);
    const model = await fisherDiagonal(gpu, { ...OPTIONS, labels: "model" });
    assert(model.some((value, p) => value !== data[p]) && model.every((value) => value >= 0));
    assertEquals(await fisherDiagonal(gpu, { ...OPTIONS, labels: "model" }), model);
    const one = await fisherDiagonal(gpu, { ...OPTIONS, examples: 1 });
    assert(one.some((value, p) => value !== data[p]));
    await assertRejects(() => fisherDiagonal(gpu, { ...OPTIONS, examples: 7 }), RangeError, "on 7 examples: 1 to 6");
  },
);

Deno.test("drawLabels() draws as often as the softmax says", () => {
  const rows = 20000, probabilities = [0.7, 0.05, 0.25], counts = [0, 0, 0];
  const logits = Float32Array.from({ length: 3 * rows }, (_, i) => Math.log(probabilities[i % 3]) + 5);
  for (const label of drawLabels(logits, 3, 9)) counts[label]++;
  counts.forEach((found, c) => {
    const p = probabilities[c];
    assertAlmostEquals(found / rows, p, 5 * Math.sqrt(p * (1 - p) / rows));
  });
});

for (const labels of ["data", "model"] satisfies FisherLabels[]) {
  gpuTest(`estimateFisher() foretells what fisherDiagonal() allocates, by labels of the ${labels}`, async (gpu) => {
    let most = 0;
    const create = gpu.createBuffer;
    gpu.createBuffer = function (...args) {
      const buffer = create.apply(gpu, args);
      most = Math.max(most, gpu.live.bytes);
      return buffer;
    };
    try {
      await fisherDiagonal(gpu, { ...OPTIONS, labels, batchSize: 3 });
    } finally {
      gpu.createBuffer = create;
    }
    const { total, ...parts } = estimateFisher(gpu, { model: CONFIG, labels, examples: count, batchSize: 3 });
    assertEquals(total, Object.values(parts).reduce((sum, bytes) => sum + bytes, 0));
    // Images, labels, colours, and the copy of the squares that is read.
    const besides = most - total, images = 3 * size * size * 3;
    assert(besides >= 0 && besides <= parts.squares + images + 1000, `${most} of ${total}`);
  });
}

import { assertEquals } from "@std/assert";
import { add, addBackward } from "./add.ts";
import { averagePool, averagePoolBackward, globalAveragePool, globalAveragePoolBackward } from "./average_pool.ts";
import { batchNormEvaluate, batchNormEvaluateBackward, batchNormTrain, batchNormTrainBackward } from "./batch_norm.ts";
import { assertGradient, dot } from "./central_differences.ts";
import { conv2d, conv2dBackward } from "./conv2d.ts";
import { flatten, flattenBackward } from "./flatten.ts";
import { hashedUnit } from "./hashed.ts";
import { linear, linearBackward } from "./linear.ts";
import { gradientDense, gradientWoodbury, logDensityDense, logDensityWoodbury } from "./low_rank_normal.ts";
import { maxPool, maxPoolBackward } from "./max_pool.ts";
import { padChannels, padChannelsBackward } from "./pad_channels.ts";
import { relu, reluBackward } from "./relu.ts";
import { NO_LABEL, softmaxCrossEntropy } from "./softmax_cross_entropy.ts";
import { type Tensor, tensor } from "./tensor.ts";

/** Numbers in [−1, 1) that depend on `stream` alone. */
function random(stream: number, ...shape: number[]): Tensor {
  return tensor(shape, tensor(shape).data.map((_, i) => hashedUnit(stream, i)));
}

/** The same, but in random order on a grid that keeps them 2 / size apart and 1 / size from 0: far from every kink. */
function spread(stream: number, ...shape: number[]): Tensor {
  const values = random(stream, ...shape), size = values.data.length;
  const order = [...values.data.keys()].sort((a, b) => values.data[a] - values.data[b]);
  order.forEach((index, rank) => values.data[index] = (2 * rank + 1) / size - 1 + (size % 2 === 1 ? 1 / size : 0));
  return values;
}

/** `[name, input NHWC, outChannels, kernel, stride, padding, dilation, groups]`: what ResNets and ResNeXts use, and sizes of 1. */
const CONVOLUTIONS: [string, [number, number, number, number], number, number, number, number, number, number][] = [
  ["3x3", [2, 5, 3, 3], 4, 3, 1, 1, 1, 1],
  ["3x3 stride 2", [1, 7, 6, 3], 2, 3, 2, 1, 1, 1],
  ["1x1", [2, 3, 5, 4], 3, 1, 1, 0, 1, 1],
  ["1x1 stride 2", [2, 5, 4, 3], 2, 1, 2, 0, 1, 1],
  ["7x7 stride 2", [1, 9, 7, 3], 2, 7, 2, 3, 1, 1],
  ["groups 2", [1, 5, 4, 4], 6, 3, 1, 1, 1, 2],
  ["groups 4 stride 2", [1, 5, 5, 8], 4, 3, 2, 1, 1, 4],
  ["groups 32", [1, 3, 2, 64], 32, 3, 1, 1, 1, 32],
  ["depthwise", [1, 5, 3, 5], 5, 3, 1, 1, 1, 5],
  ["dilation 2", [1, 7, 5, 2], 3, 3, 1, 2, 2, 1],
  ["dilation 2 stride 2", [1, 9, 7, 2], 2, 3, 2, 2, 2, 1],
  ["size 1", [1, 1, 1, 1], 1, 1, 1, 0, 1, 1],
  ["3x3 on size 1", [2, 1, 1, 3], 2, 3, 1, 1, 1, 1],
];

for (const [name, shape, outChannels, kernel, stride, padding, dilation, groups] of CONVOLUTIONS) {
  Deno.test(`conv2dBackward() equals central differences: ${name}`, () => {
    const options = { stride, padding, dilation, groups };
    const input = random(1, ...shape), weight = random(2, outChannels, shape[3] / groups, kernel, kernel);
    const bias = random(3, outChannels);
    const dOutput = random(4, ...conv2d(input, weight, bias, options).shape);
    const value = () => dot(dOutput, conv2d(input, weight, bias, options));
    const { dInput, dWeight, dBias } = conv2dBackward(dOutput, input, weight, options);
    assertGradient("dInput", dInput.data, input.data, value);
    assertGradient("dWeight", dWeight.data, weight.data, value);
    assertGradient("dBias", dBias.data, bias.data, value);
  });
}

for (const shape of [[2, 5, 3, 4], [3, 1, 1, 2], [1, 3, 3, 1]]) {
  const channels = shape[3];
  const parameters = { weight: random(5, channels), bias: random(6, channels) };
  const running = {
    mean: random(7, channels),
    variance: tensor([channels], random(8, channels).data.map((x) => x + 1.5)),
  };

  Deno.test(`batchNormTrainBackward() equals central differences: [${shape}]`, () => {
    const input = random(9, ...shape), dOutput = random(10, ...shape);
    const value = () => dot(dOutput, batchNormTrain(input, parameters, running).output);
    const { mean, variance } = batchNormTrain(input, parameters, running);
    const { dInput, dWeight, dBias } = batchNormTrainBackward(dOutput, input, parameters, mean, variance);
    assertGradient("dInput", dInput.data, input.data, value);
    assertGradient("dWeight", dWeight.data, parameters.weight.data, value);
    assertGradient("dBias", dBias.data, parameters.bias.data, value);
  });

  Deno.test(`batchNormEvaluateBackward() equals central differences: [${shape}]`, () => {
    const input = random(9, ...shape), dOutput = random(10, ...shape);
    const value = () => dot(dOutput, batchNormEvaluate(input, parameters, running));
    const { dInput, dWeight, dBias } = batchNormEvaluateBackward(dOutput, input, parameters, running);
    assertGradient("dInput", dInput.data, input.data, value);
    assertGradient("dWeight", dWeight.data, parameters.weight.data, value);
    assertGradient("dBias", dBias.data, parameters.bias.data, value);
  });
}

/** Operations of one activation: the forward pass, and the gradient of the input. */
const UNARY: [string, Tensor, (x: Tensor) => Tensor, (dOutput: Tensor, x: Tensor) => Tensor][] = [
  ["reluBackward()", spread(11, 2, 3, 5, 2), relu, (d, x) => reluBackward(d, relu(x))],
  ["flattenBackward()", random(12, 2, 3, 5, 2), flatten, (d, x) => flattenBackward(d, x.shape)],
  [
    "globalAveragePoolBackward()",
    random(13, 2, 3, 5, 2),
    globalAveragePool,
    (d, x) => globalAveragePoolBackward(d, x.shape),
  ],
  [
    "globalAveragePoolBackward() at size 1",
    random(13, 2, 1, 1, 3),
    globalAveragePool,
    (d, x) => globalAveragePoolBackward(d, x.shape),
  ],
  ...[[3, 2, 1], [2, 2, 0], [3, 1, 1], [2, 3, 0, 1], [3, 2, 1, 1]].flatMap((numbers): typeof UNARY => {
    const [kernel, stride, padding, ceil = 0] = numbers, geometry = { kernel, stride, padding, ceilMode: ceil === 1 };
    const name = `kernel ${kernel} stride ${stride} padding ${padding}${ceil ? " in ceil mode" : ""}`;
    return [
      [
        `maxPoolBackward() with ${name}`,
        spread(14, 2, 7, 4, 2),
        (x) => maxPool(x, geometry),
        (d, x) => maxPoolBackward(d, x, geometry),
      ],
      ...[true, false].map((countIncludePad): typeof UNARY[0] => [
        `averagePoolBackward() with ${name}, padding ${countIncludePad ? "counted" : "not counted"}`,
        random(15, 2, 7, 4, 2),
        (x) => averagePool(x, { ...geometry, countIncludePad }),
        (d, x) => averagePoolBackward(d, x, { ...geometry, countIncludePad }),
      ]),
    ];
  }),
  [
    "maxPoolBackward() with dilation 2",
    spread(14, 2, 7, 5, 2),
    (x) => maxPool(x, { kernel: 3, stride: 2, padding: 1, dilation: 2 }),
    (d, x) => maxPoolBackward(d, x, { kernel: 3, stride: 2, padding: 1, dilation: 2 }),
  ],
  [
    "maxPoolBackward() at size 1",
    spread(14, 2, 1, 1, 3),
    (x) => maxPool(x, { kernel: 3, stride: 2, padding: 1 }),
    (d, x) => maxPoolBackward(d, x, { kernel: 3, stride: 2, padding: 1 }),
  ],
  ...[{ stride: 2, before: 1, after: 2 }, { stride: 1, before: 0, after: 3 }].map((options): typeof UNARY[0] => [
    `padChannelsBackward() with stride ${options.stride}`,
    random(16, 2, 5, 4, 3),
    (x) => padChannels(x, options),
    (d, x) => padChannelsBackward(d, x.shape, options),
  ]),
];

for (const [name, input, forward, backward] of UNARY) {
  Deno.test(`${name} equals central differences`, () => {
    const dOutput = random(17, ...forward(input).shape);
    assertGradient("dInput", backward(dOutput, input).data, input.data, () => dot(dOutput, forward(input)));
  });
}

Deno.test("addBackward() equals central differences", () => {
  const a = random(18, 2, 3, 1, 5), b = random(19, 2, 3, 1, 5), dOutput = random(20, 2, 3, 1, 5);
  const { dA, dB } = addBackward(dOutput);
  assertGradient("dA", dA.data, a.data, () => dot(dOutput, add(a, b)));
  assertGradient("dB", dB.data, b.data, () => dot(dOutput, add(a, b)));
});

for (const [batch, width, out] of [[3, 5, 4], [1, 1, 1], [1, 7, 2]]) {
  Deno.test(`linearBackward() equals central differences: ${batch} rows, ${width} to ${out}`, () => {
    const input = random(25, batch, width), weight = random(26, out, width), bias = random(27, out);
    const dOutput = random(28, batch, out), value = () => dot(dOutput, linear(input, weight, bias));
    const { dInput, dWeight, dBias } = linearBackward(dOutput, input, weight);
    assertGradient("dInput", dInput.data, input.data, value);
    assertGradient("dWeight", dWeight.data, weight.data, value);
    assertGradient("dBias", dBias.data, bias.data, value);
  });
}

for (const smoothing of [0, 0.1]) {
  Deno.test(`softmaxCrossEntropy() equals central differences with smoothing ${smoothing} and a masked row`, () => {
    const logits = random(29, 4, 5), labels = Uint32Array.of(2, NO_LABEL, 0, 4);
    const value = () => softmaxCrossEntropy(logits, labels, smoothing).loss;
    const { dLogits } = softmaxCrossEntropy(logits, labels, smoothing);
    assertGradient("dLogits", dLogits.data, logits.data, value);
    assertEquals([...dLogits.data.slice(5, 10)], [0, 0, 0, 0, 0]);
  });
}

Deno.test("gradientDense() and gradientWoodbury() equal central differences", () => {
  const size = 9, theta = random(30, size).data;
  const normal = {
    mean: random(31, size).data,
    psi: random(32, size).data.map((x) => x + 1.5),
    factors: [random(33, size).data, random(34, size).data],
  };
  assertGradient("dense", gradientDense(theta, normal), theta, () => logDensityDense(theta, normal));
  assertGradient("Woodbury", gradientWoodbury(theta, normal), theta, () => logDensityWoodbury(theta, normal));
});

import { assert, assertEquals } from "@std/assert";
import { camelCase, type Fixture, gradientName, operandsOf, readFixture, recorded } from "../fixtures/fixture.ts";
import { add, addBackward } from "./add.ts";
import { averagePool, averagePoolBackward, globalAveragePool, globalAveragePoolBackward } from "./average_pool.ts";
import { batchNormEvaluate, batchNormEvaluateBackward, batchNormTrain, batchNormTrainBackward } from "./batch_norm.ts";
import { conv2d, conv2dBackward } from "./conv2d.ts";
import { flatten, flattenBackward } from "./flatten.ts";
import { nchwToNhwc, nhwcToNchw } from "./layout.ts";
import { linear, linearBackward } from "./linear.ts";
import {
  denseCovariance,
  gradientDense,
  gradientWoodbury,
  logDensityDense,
  logDensityWoodbury,
} from "./low_rank_normal.ts";
import { maxPool, maxPoolBackward } from "./max_pool.ts";
import { padChannels, padChannelsBackward } from "./pad_channels.ts";
import { relu, reluBackward } from "./relu.ts";
import { softmaxCrossEntropy } from "./softmax_cross_entropy.ts";
import { type Tensor, tensor } from "./tensor.ts";
import { TENSOR_TWINS } from "./twins.ts";
import { sgdStep } from "./updates.ts";

/** Reads a tensor as the twins want it: activations NHWC. Weights are read with `recorded`. */
type Read = (name: string) => Tensor;

/** What a twin computed, by the fixture's names and in PyTorch's layout. */
type Results = Record<string, Tensor>;

/**
 * Both sides are float64 and sum up to some thousands of terms: 1e-12 of the tensor's greatest element. BatchNorm's gradient
 * cancels, so an input with mean 100 or a constant channel (1/σ = 316) loses three digits more.
 */
const TOLERANCE = 1e-12;
const LOOSER = new Map([
  ["batch_norm_train_far_mean", 1e-10],
  ["batch_norm_train_constant_channel", 1e-10],
  ["low_rank_normal_stiff", 1e-10],
]);

const TWINS: Record<string, (fixture: Fixture, read: Read) => Results> = {
  conv2d(fixture, read) {
    const input = read("input"), weight = recorded(fixture, "weight");
    const bias = fixture.tensors.has("bias") ? recorded(fixture, "bias") : null;
    const { dInput, dWeight, dBias } = conv2dBackward(read("dOutput"), input, weight, fixture.config);
    const output = conv2d(input, weight, bias, fixture.config);
    const images = { output: nhwcToNchw(output), dInput: nhwcToNchw(dInput), dWeight };
    return bias === null ? images : { ...images, dBias };
  },
  batchNorm(fixture, read) {
    const input = read("input");
    const parameters = { weight: recorded(fixture, "weight"), bias: recorded(fixture, "bias") };
    const running = { mean: recorded(fixture, "runningMean"), variance: recorded(fixture, "runningVariance") };
    if (!fixture.config.training) {
      const gradient = batchNormEvaluateBackward(read("dOutput"), input, parameters, running);
      return {
        output: nhwcToNchw(batchNormEvaluate(input, parameters, running)),
        nextRunningMean: running.mean,
        nextRunningVariance: running.variance,
        ...gradient,
        dInput: nhwcToNchw(gradient.dInput),
      };
    }
    const forward = batchNormTrain(input, parameters, running);
    const gradient = batchNormTrainBackward(read("dOutput"), input, parameters, forward.mean, forward.variance);
    return {
      output: nhwcToNchw(forward.output),
      nextRunningMean: forward.running.mean,
      nextRunningVariance: forward.running.variance,
      ...gradient,
      dInput: nhwcToNchw(gradient.dInput),
    };
  },
  relu(_, read) {
    const output = relu(read("input"));
    return { output: nhwcToNchw(output), dInput: nhwcToNchw(reluBackward(read("dOutput"), output)) };
  },
  add(_, read) {
    const { dA, dB } = addBackward(read("dOutput"));
    return { output: nhwcToNchw(add(read("a"), read("b"))), dA: nhwcToNchw(dA), dB: nhwcToNchw(dB) };
  },
  maxPool({ config }, read) {
    return {
      output: nhwcToNchw(maxPool(read("input"), config)),
      dInput: nhwcToNchw(maxPoolBackward(read("dOutput"), read("input"), config)),
    };
  },
  averagePool({ config }, read) {
    return {
      output: nhwcToNchw(averagePool(read("input"), config)),
      dInput: nhwcToNchw(averagePoolBackward(read("dOutput"), read("input"), config)),
    };
  },
  globalAveragePool(fixture, read) {
    const dInput = globalAveragePoolBackward(recorded(fixture, "dOutput"), read("input").shape);
    return { output: globalAveragePool(read("input")), dInput: nhwcToNchw(dInput) };
  },
  linear(fixture) {
    const input = recorded(fixture, "input"), weight = recorded(fixture, "weight");
    const bias = fixture.tensors.has("bias") ? recorded(fixture, "bias") : null;
    const { dInput, dWeight, dBias } = linearBackward(recorded(fixture, "dOutput"), input, weight);
    const results = { output: linear(input, weight, bias), dInput, dWeight };
    return bias === null ? results : { ...results, dBias };
  },
  flatten(fixture, read) {
    const dInput = flattenBackward(recorded(fixture, "dOutput"), read("input").shape);
    return { output: flatten(read("input")), dInput: nhwcToNchw(dInput) };
  },
  padChannels({ config }, read) {
    const dInput = padChannelsBackward(read("dOutput"), read("input").shape, config);
    return { output: nhwcToNchw(padChannels(read("input"), config)), dInput: nhwcToNchw(dInput) };
  },
  softmaxCrossEntropy(fixture) {
    const labels = fixture.tensors.get("labels")!.data as Uint32Array;
    const result = softmaxCrossEntropy(recorded(fixture, "logits"), labels, fixture.config.smoothing);
    return { ...result, loss: tensor([], [result.loss]) };
  },
  lowRankNormal(fixture) {
    const [theta, mean, psi, rows] = ["theta", "mean", "psi", "factors"].map((name) => recorded(fixture, name));
    const size = theta.data.length;
    const factors = Array.from({ length: rows.shape[0] }, (_, k) => rows.data.slice(k * size, (k + 1) * size));
    const normal = { mean: mean.data, psi: psi.data, factors };
    const dense = logDensityDense(theta.data, normal), gradient = gradientDense(theta.data, normal);
    assertClose("dense log density", tensor([], [dense]), recorded(fixture, "logDensity"), 1e-10);
    assertClose("dense gradient", tensor([size], gradient), recorded(fixture, "gradient"), 1e-10);
    return {
      logDensity: tensor([], [logDensityWoodbury(theta.data, normal)]),
      gradient: tensor([size], gradientWoodbury(theta.data, normal)),
      covariance: tensor([size, size], denseCovariance(normal)),
    };
  },
  sgd(fixture) {
    const gradients = recorded(fixture, "gradients"), [steps, size] = gradients.shape;
    let state: ReturnType<typeof sgdStep> = { theta: recorded(fixture, "theta").data, buffer: new Float64Array(size) };
    const trajectory: number[] = [];
    for (let step = 0; step < steps; step++) {
      const gradient = gradients.data.slice(step * size, (step + 1) * size);
      state = sgdStep(state.theta, state.buffer, gradient, fixture.config);
      trajectory.push(...state.theta);
    }
    return { trajectory: tensor([steps, size], trajectory) };
  },
};

/** Twins of tensors of any rank, whose axes are PyTorch's. */
for (const [op, { forward, backward }] of Object.entries(TENSOR_TWINS)) {
  TWINS[op] = (fixture) => {
    const operands = operandsOf(fixture);
    const gradients = Object.entries(backward(recorded(fixture, "dOutput"), operands, fixture.config));
    return {
      output: forward(operands, fixture.config),
      ...Object.fromEntries(gradients.map(([name, gradient]) => [gradientName(name), gradient])),
    };
  };
}

/** Asserts equal shapes, and a greatest difference within `tolerance` of the greatest recorded element (or of 1e-3). */
function assertClose(what: string, found: Tensor, expected: Tensor, tolerance: number): void {
  assertEquals(found.shape, expected.shape, what);
  const scale = expected.data.reduce((greatest, x) => Math.max(greatest, Math.abs(x)), 1e-3);
  const worst = found.data.reduce((greatest, x, i) => Math.max(greatest, Math.abs(x - expected.data[i])), 0);
  assert(worst <= tolerance * scale, `${what}: off by ${worst}, at most ${tolerance * scale} is allowed`);
}

const FOLDER = new URL("../fixtures/operations/", import.meta.url);
/** What the writer reads or draws; everything else in a fixture must have been computed by the twin. */
const OPERANDS =
  /^(input\d*|a|b|indices|condition|weight|bias|dOutput|running(Mean|Variance)|logits|labels|targets|classes|theta|mean|psi|factors|gradients)$/;

for (const file of [...Deno.readDirSync(FOLDER)].map(({ name }) => name).sort()) {
  const fixture = readFixture(new URL(file, FOLDER)), name = file.replace(".bin", "");
  Deno.test(`${name} of the twins equals PyTorch's`, () => {
    const results = TWINS[camelCase(fixture.config.op)](fixture, (key) => nchwToNhwc(recorded(fixture, key)));
    for (const key of fixture.tensors.keys()) {
      if (!OPERANDS.test(key)) assert(key in results, `${key} was recorded but not computed`);
    }
    for (const [key, found] of Object.entries(results)) {
      assertClose(key, found, recorded(fixture, key), LOOSER.get(name) ?? TOLERANCE);
    }
  });
}

Deno.test("the recorded operations cover every twin", () => {
  const found = new Set([...Deno.readDirSync(FOLDER)].map(({ name }) => readFixture(new URL(name, FOLDER)).config.op));
  assertEquals([...found].map(camelCase).sort(), Object.keys(TWINS).sort());
});

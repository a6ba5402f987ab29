/**
 * Reference of batch normalisation over the last axis (Ioffe & Szegedy, arXiv 1502.03167; `torch.nn.BatchNorm2d`).
 *
 * @module
 */

import { type Tensor, tensor } from "./tensor.ts";

/** Learned scale and shift, each `[channels]`. */
export interface BatchNormParameters {
  readonly weight: Tensor;
  readonly bias: Tensor;
}

/** Statistics that evaluation uses, each `[channels]`; the variance is the unbiased one. */
export interface RunningStatistics {
  readonly mean: Tensor;
  readonly variance: Tensor;
}

/** What training mode computes. */
export interface BatchNormTraining {
  readonly output: Tensor;
  /** Mean of the batch, `[channels]`. */
  readonly mean: Tensor;
  /** Biased variance of the batch (divided by the count), `[channels]`: it normalises. */
  readonly variance: Tensor;
  /** The running statistics after this batch. */
  readonly running: RunningStatistics;
}

/** Gradients of batch normalisation. */
export interface BatchNormGradient {
  readonly dInput: Tensor;
  readonly dWeight: Tensor;
  readonly dBias: Tensor;
}

/** Added to the variance under the root: PyTorch's default. */
export const BATCH_NORM_EPSILON = 1e-5;
/** Share of the new batch in the running statistics: PyTorch's default. */
export const BATCH_NORM_MOMENTUM = 0.1;

/** Per-channel sum of `value(i)` over all elements of a tensor whose last axis is the channel. */
function channelSum(channels: number, count: number, value: (index: number) => number): Tensor {
  const sum = tensor([channels]);
  for (let i = 0; i < count * channels; i++) sum.data[i % channels] += value(i);
  return sum;
}

/** Normalises with the given statistics and applies the learned scale and shift. */
function normalise(
  input: Tensor,
  parameters: BatchNormParameters,
  mean: Tensor,
  variance: Tensor,
  epsilon: number,
): Tensor {
  const channels = mean.data.length;
  const output = tensor(input.shape);
  for (let i = 0; i < input.data.length; i++) {
    const c = i % channels;
    const normal = (input.data[i] - mean.data[c]) / Math.sqrt(variance.data[c] + epsilon);
    output.data[i] = normal * parameters.weight.data[c] + parameters.bias.data[c];
  }
  return output;
}

/**
 * Training mode: normalises `input` `[..., channels]` by its own statistics and moves the running ones.
 *
 * @throws {RangeError} where a channel has a single value: its variance is undefined (PyTorch refuses as well).
 */
export function batchNormTrain(
  input: Tensor,
  parameters: BatchNormParameters,
  running: RunningStatistics,
  epsilon: number = BATCH_NORM_EPSILON,
  momentum: number = BATCH_NORM_MOMENTUM,
): BatchNormTraining {
  const channels = parameters.weight.data.length;
  const count = input.data.length / channels;
  if (count < 2) {
    throw new RangeError(`Cannot normalise [${input.shape}] by its batch: at least 2 values per channel are required`);
  }
  const mean = tensor([channels], channelSum(channels, count, (i) => input.data[i]).data.map((sum) => sum / count));
  const squares = channelSum(channels, count, (i) => (input.data[i] - mean.data[i % channels]) ** 2);
  const variance = tensor([channels], squares.data.map((sum) => sum / count));
  const move = (old: Tensor, fresh: (c: number) => number): Tensor =>
    tensor([channels], old.data.map((value, c) => (1 - momentum) * value + momentum * fresh(c)));
  return {
    output: normalise(input, parameters, mean, variance, epsilon),
    mean,
    variance,
    running: {
      mean: move(running.mean, (c) => mean.data[c]),
      variance: move(running.variance, (c) => squares.data[c] / (count - 1)),
    },
  };
}

/**
 * Gradients of training mode, where mean and variance depend on the input:
 * dx = weight / σ · (dy − mean(dy) − x̂ · mean(dy · x̂)).
 */
export function batchNormTrainBackward(
  dOutput: Tensor,
  input: Tensor,
  parameters: BatchNormParameters,
  mean: Tensor,
  variance: Tensor,
  epsilon: number = BATCH_NORM_EPSILON,
): BatchNormGradient {
  const channels = mean.data.length;
  const count = input.data.length / channels;
  const deviation = variance.data.map((value) => Math.sqrt(value + epsilon));
  const normal = input.data.map((value, i) => (value - mean.data[i % channels]) / deviation[i % channels]);
  const dBias = channelSum(channels, count, (i) => dOutput.data[i]);
  const dWeight = channelSum(channels, count, (i) => dOutput.data[i] * normal[i]);
  const dInput = tensor(input.shape);
  for (let i = 0; i < input.data.length; i++) {
    const c = i % channels;
    const centred = dOutput.data[i] - dBias.data[c] / count - normal[i] * dWeight.data[c] / count;
    dInput.data[i] = parameters.weight.data[c] / deviation[c] * centred;
  }
  return { dInput, dWeight, dBias };
}

/** Evaluation mode: normalises `input` `[..., channels]` by the running statistics. */
export function batchNormEvaluate(
  input: Tensor,
  parameters: BatchNormParameters,
  running: RunningStatistics,
  epsilon: number = BATCH_NORM_EPSILON,
): Tensor {
  return normalise(input, parameters, running.mean, running.variance, epsilon);
}

/** Gradients of evaluation mode, where mean and variance are constants. */
export function batchNormEvaluateBackward(
  dOutput: Tensor,
  input: Tensor,
  parameters: BatchNormParameters,
  running: RunningStatistics,
  epsilon: number = BATCH_NORM_EPSILON,
): BatchNormGradient {
  const channels = running.mean.data.length;
  const count = input.data.length / channels;
  const deviation = running.variance.data.map((value) => Math.sqrt(value + epsilon));
  const dInput = tensor(input.shape);
  for (let i = 0; i < input.data.length; i++) {
    const c = i % channels;
    dInput.data[i] = dOutput.data[i] * parameters.weight.data[c] / deviation[c];
  }
  return {
    dInput,
    dWeight: channelSum(
      channels,
      count,
      (i) => dOutput.data[i] * (input.data[i] - running.mean.data[i % channels]) / deviation[i % channels],
    ),
    dBias: channelSum(channels, count, (i) => dOutput.data[i]),
  };
}

/**
 * Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167), as `torch.nn.BatchNorm2d`.
 *
 * @module
 */

import applySource from "../../kernels/batch_norm_apply.wgsl" with { type: "text" };
import finalizeSource from "../../kernels/batch_norm_finalize.wgsl" with { type: "text" };
import statisticsSource from "../../kernels/batch_norm_statistics.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { chunksOf } from "./column_sum.ts";
import { loop, widthOf } from "./elementwise.ts";
import {
  type Dispatch,
  imageShape,
  type Operation,
  scratch,
  shapeError,
  type Target,
  type Tensor,
} from "./operation.ts";

/** Items of an invocation that normalises: they share the channel's coefficients. */
const ITEMS = 8;

/** Parameters and running statistics, each [C]. */
export interface BatchNormTensors {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly runningMean: Tensor;
  readonly runningVariance: Tensor;
}

/** Settings; the defaults are PyTorch's. */
export interface BatchNormOptions {
  /** Added to the variance; 1e-5. */
  readonly eps?: number;
  /** Weight of the batch in the running statistics; 0.1. */
  readonly momentum?: number;
}

/**
 * Normalises input [N, H, W, C] per channel. In training by the batch's mean and biased variance, while the running
 * statistics move towards the mean and the unbiased variance; otherwise by the running statistics.
 */
export function batchNorm(
  name: string,
  input: Tensor,
  tensors: BatchNormTensors,
  options: BatchNormOptions = {},
): Operation {
  const { n, h, w, c } = imageShape("batchNorm", input);
  const { weight, bias, runningMean, runningVariance } = tensors;
  for (const tensor of [weight, bias, runningMean, runningVariance]) {
    if (sizeOf(tensor.shape) !== c) {
      throw shapeError("batchNorm", `${tensor.name} of shape [${tensor.shape}]`, `[${c}] is required`);
    }
  }
  const rows = n * h * w;
  const width = widthOf(c);
  const { chunkRows, chunks } = chunksOf(rows);
  const output = scratch(name, input.shape);
  const batchMean = scratch(`${name} mean`, [c]), batchVariance = scratch(`${name} variance`, [c]);
  const sizes = { C: c, ROWS: rows, CHUNK_ROWS: chunkRows, CHUNKS: chunks };
  const floats = { EPS: options.eps ?? 1e-5, MOMENTUM: options.momentum ?? 0.1 };

  const statisticsOf = (target: Target) =>
    target.training ? { mean: batchMean, variance: batchVariance } : { mean: runningMean, variance: runningVariance };

  const launch = (
    label: string,
    source: string,
    count: number,
    items: number,
    constants: Record<string, number>,
    bindings: Tensor[],
  ) =>
    loop({
      label: `${name} ${label}`,
      source,
      count,
      width,
      items,
      constants: { ...sizes, ...constants },
      floats,
      bindings,
    });

  return {
    kind: "batchNorm",
    inputs: [input, weight, bias, runningMean, runningVariance],
    output,
    forward(target) {
      const { mean, variance } = statisticsOf(target);
      const apply = launch("apply", applySource, sizeOf(input.shape) / width, ITEMS, { BACKWARD: 0, FROZEN: 0 }, [
        input,
        mean,
        variance,
        weight,
        bias,
        output,
      ]);
      if (!target.training) return [apply];
      if (rows < 2) {
        throw shapeError(
          "batchNorm for training",
          `one value per channel at ${input.name}`,
          "at least two values per channel are required",
        );
      }
      const partial = scratch(`${name} partials`, [chunks, 2, c]);
      return [
        launch("statistics", statisticsSource, chunks * c / width, 1, { BACKWARD: 0 }, [input, partial]),
        launch("finalize", finalizeSource, c / width, 1, { BACKWARD: 0 }, [
          partial,
          mean,
          variance,
          runningMean,
          runningVariance,
        ]),
        apply,
      ];
    },
    backward(target, dOutput, gradientOf) {
      const { mean, variance } = statisticsOf(target);
      const dWeight = gradientOf(weight), dBias = gradientOf(bias), dInput = gradientOf(input);
      const sums = scratch(`${name} gradient sums`, [2, c]);
      const dispatches: Dispatch[] = [];
      // Batch statistics depend on the input, so its gradient needs the sums even where the parameters are frozen.
      if (dWeight !== undefined || dBias !== undefined || (target.training && dInput !== undefined)) {
        const partial = scratch(`${name} gradient partials`, [chunks, 2, c]);
        const accumulate = dWeight?.accumulate || dBias?.accumulate ? 1 : 0;
        const unwanted = (tensor: Tensor) => scratch(`${name} unwanted gradient of ${tensor.name}`, [c]);
        dispatches.push(
          launch("gradient sums", statisticsSource, chunks * c / width, 1, { BACKWARD: 1 }, [
            input,
            partial,
            dOutput,
            mean,
            variance,
          ]),
          launch("gradient finalize", finalizeSource, c / width, 1, { BACKWARD: 1, ACCUMULATE: accumulate }, [
            partial,
            sums,
            dWeight?.tensor ?? unwanted(weight),
            dBias?.tensor ?? unwanted(bias),
          ]),
        );
      }
      if (dInput !== undefined) {
        const constants = { BACKWARD: 1, FROZEN: target.training ? 0 : 1, ACCUMULATE: dInput.accumulate ? 1 : 0 };
        const bindings = [input, mean, variance, weight, sums, dOutput, dInput.tensor];
        dispatches.push(launch("input gradient", applySource, sizeOf(input.shape) / width, ITEMS, constants, bindings));
      }
      return dispatches;
    },
  };
}

/**
 * Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167), as `torch.nn.BatchNorm2d`, alone or with the sum and the
 * rectifier that follow it in residual networks.
 *
 * @module
 */

import applySource from "../../kernels/batch_norm_apply.wgsl" with { type: "text" };
import finalizeSource from "../../kernels/batch_norm_finalize.wgsl" with { type: "text" };
import gradientFinalizeSource from "../../kernels/batch_norm_gradient_finalize.wgsl" with { type: "text" };
import statisticsSource from "../../kernels/batch_norm_statistics.wgsl" with { type: "text" };
import momentsSource from "../../kernels/moments.wgsl" with { type: "text" };
import type { Constants } from "../../kernels/template.ts";
import { sizeOf } from "../tensor.ts";
import { copyInto } from "./add.ts";
import { chunksOf } from "./column_sum.ts";
import { loop, RUN, widthOf } from "./elementwise.ts";
import { bindingsOf, combineBlocks, createMoments, type Moments } from "./moments.ts";
import {
  type Dispatch,
  imageShape,
  type Operation,
  scratch,
  shapeError,
  type Target,
  type Tensor,
} from "./operation.ts";

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
  /** Added to what is normalised; of the input's shape. */
  readonly residual?: Tensor;
  /** Ends with max(., 0); the gradient at 0 is 0. */
  readonly relu?: boolean;
  /** Where the input's producer leaves its moments, if it does; otherwise the input is read for them. */
  readonly moments?: (target: Target) => Moments | undefined;
}

function requireShapes(input: Tensor, tensors: BatchNormTensors, residual: Tensor | undefined): void {
  const { c } = imageShape("batchNorm", input);
  for (const tensor of Object.values(tensors)) {
    if (sizeOf(tensor.shape) !== c) {
      throw shapeError("batchNorm", `${tensor.name} of shape [${tensor.shape}]`, `[${c}] is required`);
    }
  }
  if (residual !== undefined && residual.shape.join() !== input.shape.join()) {
    throw shapeError(
      "batchNorm",
      `residual [${residual.shape}] of input [${input.shape}]`,
      "equal shapes are required",
    );
  }
}

/** Makes the launches of one normalisation: what its kernels share. */
function launcherOf(name: string, input: Tensor, options: BatchNormOptions) {
  const { n, h, w, c } = imageShape("batchNorm", input);
  const rows = n * h * w, width = widthOf(c);
  const { chunkRows, chunks } = chunksOf(rows);
  const flags = { RELU: options.relu ? 1 : 0, RESIDUAL: options.residual ? 1 : 0 };
  const sizes = { C: c, ROWS: rows, CHUNK_ROWS: chunkRows, CHUNKS: chunks };
  const floats = { EPS: options.eps ?? 1e-5, MOMENTUM: options.momentum ?? 0.1 };
  // A multiple of the channels: an invocation that normalises has those of its first item.
  const run = c / width * Math.ceil(RUN * width / c);
  const launch = (source: string, size: number, shape: { items?: number; run?: number }) =>
  (
    label: string,
    constants: Constants,
    bindings: readonly Tensor[],
  ): Dispatch =>
    loop({
      label: `${name} ${label}`,
      source,
      count: size / width,
      width,
      ...shape,
      constants: { ...sizes, ...flags, ...constants },
      floats,
      bindings,
    });
  return {
    rows,
    /** Two sums per channel and range of rows. */
    gradientPartials: () => scratch(`${name} gradient partials`, [chunks, 2, c]),
    /** Moments of each range of rows. */
    moments: () => createMoments(name, chunks, c),
    statistics: launch(statisticsSource, chunks * c, { items: 1 }),
    finalize: launch(momentsSource + finalizeSource, c, { items: 1 }),
    gradientFinalize: launch(gradientFinalizeSource, c, { items: 1 }),
    apply: launch(applySource, rows * c, { run }),
  };
}

/**
 * Normalises input [N, H, W, C] per channel. In training by the batch's mean and biased variance, while the running
 * statistics move towards the mean and the unbiased variance; otherwise by the running statistics. Then adds
 * `options.residual` and rectifies, where asked to, in the same pass; the gradient needs what was normalised and, where
 * both are asked for, the output.
 *
 * @param output where the result goes; default a tensor of its own
 * @throws TypeError where a shape does not fit, or, in training, where a channel has a single value
 */
export function batchNorm(
  name: string,
  input: Tensor,
  { weight, bias, runningMean, runningVariance }: BatchNormTensors,
  options: BatchNormOptions = {},
  output: Tensor = scratch(name, input.shape),
): Operation {
  const { residual, relu } = options;
  const tensors = { weight, bias, runningMean, runningVariance };
  requireShapes(input, tensors, residual);
  const launch = launcherOf(name, input, options);
  const channels = weight.shape;
  const batchMean = scratch(`${name} mean`, channels), batchVariance = scratch(`${name} variance`, channels);
  const statisticsOf = ({ training }: Target) => training ? [batchMean, batchVariance] : [runningMean, runningVariance];
  /** Moments of few blocks, and the launches that make them. */
  const momentsFor = (target: Target) => {
    const left = options.moments?.(target);
    if (left) return combineBlocks(`${name} combine`, left);
    const moments = launch.moments();
    const bindings = [input, ...bindingsOf(moments)];
    return { dispatches: [launch.statistics("statistics", { BACKWARD: 0 }, bindings)], moments };
  };

  return {
    kind: "batchNorm",
    name,
    inputs: [input, ...Object.values(tensors), ...residual ? [residual] : []],
    output,
    forward(target) {
      const affine = [input, ...statisticsOf(target), weight, bias];
      const apply = launch.apply("apply", { BACKWARD: 0, FROZEN: 0 }, [
        ...affine,
        output,
        ...residual ? [residual] : [],
      ]);
      if (!target.training) return [apply];
      if (launch.rows < 2) {
        throw shapeError(
          "batchNorm for training",
          `one value per channel at ${input.name}`,
          "at least two values per channel are required",
        );
      }
      const { dispatches, moments } = momentsFor(target);
      const finalize = launch.finalize("finalize", { BLOCKS: moments.blocks }, [
        ...bindingsOf(moments),
        ...statisticsOf(target),
        runningMean,
        runningVariance,
      ]);
      return [...dispatches, finalize, apply];
    },
    backward(target, dOutput, gradientOf) {
      const dResidual = residual && gradientOf(residual);
      const dWeight = gradientOf(weight), dBias = gradientOf(bias), dInput = gradientOf(input);
      const sums = scratch(`${name} gradient sums`, [2, ...channels]);
      // What passes a rectifier behind a sum is kept: it is the residual's gradient, and saves the output's memory.
      const kept = relu && residual !== undefined;
      const inSlot = dResidual !== undefined && !dResidual.accumulate && residual !== input;
      const passed = !kept
        ? dOutput
        : inSlot
        ? dResidual.tensor
        : { ...scratch(`${name} passed gradient`, input.shape), activation: output };
      const dispatches: Dispatch[] = [];
      // Batch statistics depend on the input, so its gradient needs the sums even where the parameters are frozen.
      if (dWeight !== undefined || dBias !== undefined || (target.training && dInput !== undefined) || kept) {
        const partial = launch.gradientPartials();
        const unwanted = (tensor: Tensor) => scratch(`${name} unwanted gradient of ${tensor.name}`, channels);
        const rectifier = kept ? [output, passed] : relu ? [weight, bias] : [];
        dispatches.push(
          launch.statistics("gradient sums", { BACKWARD: 1 }, [
            input,
            partial,
            dOutput,
            ...statisticsOf(target),
            ...rectifier,
          ]),
          launch.gradientFinalize(
            "gradient finalize",
            { ACCUMULATE: dWeight?.accumulate || dBias?.accumulate ? 1 : 0 },
            [partial, sums, dWeight?.tensor ?? unwanted(weight), dBias?.tensor ?? unwanted(bias)],
          ),
        );
      }
      if (dResidual !== undefined && dResidual.tensor !== passed) {
        dispatches.push(copyInto(`${name} residual gradient`, passed, dResidual));
      }
      if (dInput !== undefined) {
        dispatches.push(launch.apply(
          "input gradient",
          {
            BACKWARD: 1,
            FROZEN: target.training ? 0 : 1,
            RELU: relu && !kept ? 1 : 0,
            ACCUMULATE: dInput.accumulate ? 1 : 0,
          },
          [input, ...statisticsOf(target), weight, bias, sums, passed, dInput.tensor],
        ));
      }
      return dispatches;
    },
    fuse(consumer) {
      if (relu) return undefined;
      const { kind, inputs, output: result } = consumer;
      if (kind === "relu") return batchNorm(name, input, tensors, { ...options, relu: true }, result);
      if (kind !== "add" || residual !== undefined) return undefined;
      const other = inputs.find((tensor) => tensor !== output);
      return other && batchNorm(name, input, tensors, { ...options, residual: other }, result);
    },
    takeMoments(source) {
      const { moments } = source;
      return source.output === input ? batchNorm(name, input, tensors, { ...options, moments }, output) : undefined;
    },
  };
}

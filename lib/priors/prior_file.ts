/**
 * A learned prior with all that is needed to use it, whatever its files.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { float32Tensor, type HostTensor, sizeOf, type StateDict } from "../tensor.ts";
import type { HeadPrior } from "./head_gaussian.ts";
import type { ParameterShape } from "./parameter_order.ts";
import type { Swag } from "./swag.ts";

/** Where a prior comes from. Empty strings where that is not known: the four files do not say. */
export interface PriorMetadata {
  /** Name of the network, as `--encoder` takes it. */
  readonly architecture: string;
  /** The checkpoint that learning began with. */
  readonly source: string;
  /** SHA-256 of that file, in hexadecimal. */
  readonly sourceSha256: string;
  /** Name and version of the program that learned the prior. */
  readonly software: string;
}

/** A learned prior with all that is needed to use it. */
export interface PriorFile {
  /** Mean, variance and factor, in the order of `parameters`. */
  readonly swag: Swag;
  /** The parameters in PyTorch's order: what the P elements are. No BatchNorm statistics, no head. */
  readonly parameters: readonly ParameterShape[];
  /** The network's state without its head, BatchNorm statistics included, under PyTorch's names. */
  readonly model: StateDict;
  /** A Gaussian over the head as well, for tasks with the source task's classes. */
  readonly head?: HeadPrior;
  /** Where the prior comes from. */
  readonly metadata: PriorMetadata;
}

/** Refuses a prior whose lengths and shapes contradict each other. */
export function requireConsistent({ swag, parameters, model }: PriorFile): void {
  const count = parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const lengths = [swag.mean, swag.variance, ...swag.covFactor].map((row) => row.length);
  if (lengths.some((length) => length !== count)) {
    throw new TypeError(
      `Cannot write a prior over ${count} parameters: its mean, variance and rows have ${lengths.join(", ")} elements`,
    );
  }
  const missing = parameters.find(({ name, shape }) => String(model.get(name)?.shape) !== String(shape));
  if (missing !== undefined) {
    throw new TypeError(
      `Cannot write a prior: its model lacks ${missing.name} of shape [${missing.shape}], or has it in another shape`,
    );
  }
}

/** All rows behind each other, [K, P]. */
export function stacked({ mean, covFactor }: Swag): HostTensor {
  const data = new Float32Array(covFactor.length * mean.length);
  covFactor.forEach((row, k) => data.set(row, k * mean.length));
  return float32Tensor([covFactor.length, mean.length], data);
}

/** Index of the first element that is not finite, or -1. A loop: a call for each of 10^8 elements takes seconds. */
function firstNotFinite(data: Float32Array): number {
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return i;
  return -1;
}

/** The tensor as float32 of that many axes; half and double precision are converted. */
function floats(tensor: HostTensor | undefined, what: string, axes: number): { shape: number[]; data: Float32Array } {
  if (tensor === undefined || !tensor.dtype.includes("float") || tensor.shape.length !== axes) {
    const found = tensor === undefined ? "no such tensor" : `a ${tensor.dtype} tensor of shape [${tensor.shape}]`;
    throw new FormatError(`${what} is ${found}; floats of ${axes} ${axes === 1 ? "axis" : "axes"} are required`);
  }
  const data = tensor.data instanceof Float32Array ? tensor.data : new Float32Array(tensor.data as Float64Array);
  const bad = firstNotFinite(data);
  if (bad >= 0) throw new FormatError(`element ${bad} of ${what} is ${data[bad]}; finite numbers are required`);
  return { shape: [...tensor.shape], data };
}

/** Mean, variance and rows, checked against each other. */
export function swagOf(mean?: HostTensor, variance?: HostTensor, factor?: HostTensor): Swag {
  const center = floats(mean, "the mean", 1).data, squares = floats(variance, "the variance", 1).data;
  const { shape: [rank, columns], data } = floats(factor, "the covariance factor", 2);
  if (squares.length !== center.length || (columns !== center.length && rank > 0)) {
    throw new FormatError(
      `the mean has ${center.length} elements, the variance ${squares.length} and a row of the covariance factor ` +
        `${columns}; equal numbers are required`,
    );
  }
  const negative = squares.findIndex((value) => value < 0);
  if (negative >= 0) {
    throw new FormatError(`element ${negative} of the variance is ${squares[negative]}; none may be negative`);
  }
  const rows = Array.from({ length: rank }, (_, k) => data.subarray(k * columns, (k + 1) * columns));
  return { mean: center, variance: squares, covFactor: rows };
}

/** What `read` yields; a FormatError says what was being read. */
export function attempt<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof FormatError) throw new FormatError(`Cannot read ${what}: ${error.message}`, { cause: error });
    throw error;
  }
}

/**
 * A head's prior among the tensors of a prior's safetensors file.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { float32Tensor, type HostTensor, type StateDict } from "../tensor.ts";
import type { HeadAxes, HeadPrior } from "./head_gaussian.ts";

const PREFIX = "head.";
/** What the numbers mean: a file that says something else is refused. */
const CONVENTION =
  "N(mean, variance) of weight [C, F] then bias [C], neither halved nor scaled; with axes, variance is of outputs^T " +
  "[W b] inputs, [C, F + 1], its last column behind the others";

/** The tensors of a head's prior. */
export function headTensors({ mean, variance, axes }: HeadPrior): StateDict {
  const matrix = (data: Float32Array) => float32Tensor([Math.sqrt(data.length), Math.sqrt(data.length)], data);
  const vector = (data: Float32Array) => float32Tensor([data.length], data);
  return new Map<string, HostTensor>([
    [`${PREFIX}mean`, vector(mean)],
    [`${PREFIX}variance`, vector(variance)],
    ...axes === undefined ? [] : [
      [`${PREFIX}inputs`, matrix(axes.inputs)] as const,
      [`${PREFIX}outputs`, matrix(axes.outputs)] as const,
    ],
  ]);
}

/** What the file states of a head's prior. */
export function headFacts({ classNames }: HeadPrior): Record<string, string> {
  return { "head.classes": JSON.stringify(classNames), "convention.head": CONVENTION };
}

/**
 * The head's prior of a file; `undefined` where it has none.
 *
 * @throws FormatError where it is not what {@linkcode headTensors} makes
 */
export function readHead(tensors: StateDict, metadata: Readonly<Record<string, string>>): HeadPrior | undefined {
  const stated = metadata["head.classes"];
  if (stated === undefined) return undefined;
  if (metadata["convention.head"] !== CONVENTION) {
    throw new FormatError(
      `its convention for the head is ${JSON.stringify(metadata["convention.head"])}; "${CONVENTION}" is required`,
    );
  }
  const classNames = namesOf(stated), classes = classNames.length;
  const mean = numbers(tensors, "mean"), width = mean.length / classes;
  if (!(Number.isInteger(width) && width >= 2)) {
    throw new FormatError(
      `its head has ${mean.length} weights and biases for ${classes} classes; [C, F + 1] is required`,
    );
  }
  const variance = numbers(tensors, "variance", mean.length);
  const bad = variance.findIndex((value) => !(value > 0));
  if (bad >= 0) {
    throw new FormatError(`element ${bad} of its head's variance is ${variance[bad]}; a positive one is required`);
  }
  const axes: HeadAxes | undefined = tensors.has(`${PREFIX}inputs`) || tensors.has(`${PREFIX}outputs`)
    ? { inputs: numbers(tensors, "inputs", width ** 2), outputs: numbers(tensors, "outputs", classes ** 2) }
    : undefined;
  return { mean, variance, axes, classNames };
}

function namesOf(text: string): string[] {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    found = undefined;
  }
  if (Array.isArray(found) && found.length > 0 && found.every((name) => typeof name === "string")) return found;
  throw new FormatError("its head's classes are no JSON list of names");
}

/** Finite numbers, of that many where it is known. */
function numbers(tensors: StateDict, name: string, length?: number): Float32Array {
  const tensor = tensors.get(PREFIX + name), data = tensor?.data;
  if (!(data instanceof Float32Array) || (length !== undefined && data.length !== length)) {
    const found = tensor === undefined ? "there is none" : `it is ${tensor.dtype} of shape [${tensor.shape}]`;
    throw new FormatError(
      `its tensor ${PREFIX}${name} cannot be used: ${found}; ${length ?? "some"} float32 are required`,
    );
  }
  const bad = data.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new FormatError(`element ${bad} of ${PREFIX}${name} is ${data[bad]}; finite numbers are required`);
  }
  return data;
}

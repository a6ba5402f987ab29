/**
 * Gaussian priors over a linear head, weight [C, F] and bias [C]: diagonal, or diagonal along axes of a Kronecker
 * product, as Laplace's approximation of a last layer has them. Host side.
 *
 * @module
 */

import type { Gaussian } from "./gaussian.ts";

/** Orthogonal axes of a head: its coordinates along them are outputs^T [W b] inputs, [C, F + 1]. */
export interface HeadAxes {
  /** [F + 1, F + 1], an axis a column. The last row belongs to the bias. */
  readonly inputs: Float32Array;
  /** [C, C], an axis a column. */
  readonly outputs: Float32Array;
}

/** A Gaussian over a head. Vectors are [C * F + C]: what stands for the weight, then what stands for the bias. */
export interface HeadGaussian {
  /** The head itself. */
  readonly mean: Float32Array;
  /** Of each coordinate, positive. Coordinates [C, F + 1] are cut behind their column F, as [W b] is. */
  readonly variance: Float32Array;
  /** Absent: coordinates are weights and biases as they are. */
  readonly axes?: HeadAxes;
}

/** A head's prior, and the classes that its rows stand for. */
export interface HeadPrior extends HeadGaussian {
  /** C names, in the order of the rows. */
  readonly classNames: readonly string[];
}

/** [C * F + C], weight then bias, as [C, F + 1]. */
export function joined(head: ArrayLike<number>, numClasses: number): Float64Array {
  const width = head.length / numClasses, features = width - 1;
  const matrix = new Float64Array(head.length);
  for (let c = 0; c < numClasses; c++) {
    for (let j = 0; j < features; j++) matrix[c * width + j] = head[c * features + j];
    matrix[c * width + features] = head[numClasses * features + c];
  }
  return matrix;
}

/** Inverse of {@linkcode joined}, rounded to float32. */
export function parted(matrix: ArrayLike<number>, numClasses: number): Float32Array {
  const width = matrix.length / numClasses, features = width - 1;
  const head = new Float32Array(matrix.length);
  for (let c = 0; c < numClasses; c++) {
    for (let j = 0; j < features; j++) head[c * features + j] = matrix[c * width + j];
    head[numClasses * features + c] = matrix[c * width + features];
  }
  return head;
}

/** The coordinates of a head, in float64 but for the result. */
export function headCoordinates(head: Float32Array, { inputs, outputs }: HeadAxes): Float32Array {
  const classes = Math.sqrt(outputs.length), width = Math.sqrt(inputs.length), matrix = joined(head, classes);
  const turned = new Float64Array(matrix.length), found = new Float64Array(matrix.length);
  for (let c = 0; c < classes; c++) {
    for (let i = 0; i < width; i++) {
      const value = matrix[c * width + i];
      for (let j = 0; j < width; j++) turned[c * width + j] += value * inputs[i * width + j];
    }
  }
  for (let c = 0; c < classes; c++) {
    for (let k = 0; k < classes; k++) {
      const share = outputs[c * classes + k];
      for (let j = 0; j < width; j++) found[k * width + j] += share * turned[c * width + j];
    }
  }
  return parted(found, classes);
}

/** The Gaussian of the coordinates. */
export function coordinateGaussian({ mean, variance, axes }: HeadGaussian): Gaussian {
  return {
    mean: axes === undefined ? mean : headCoordinates(mean, axes),
    psi: variance,
    rows: [],
    gram: new Float64Array(0),
  };
}

/**
 * The Gaussian with `scale` times the covariance.
 *
 * @throws RangeError where the scale, or a variance that follows, is not positive and finite
 */
export function scaleHead<T extends HeadGaussian>(head: T, scale: number): T {
  const variance = head.variance.map((value) => value * scale);
  const bad = variance.findIndex((value) => !(value > 0 && value < Infinity));
  if (bad < 0) return { ...head, variance };
  throw new RangeError(
    `Cannot build a head's prior: variance ${bad} times ${scale} is ${
      variance[bad]
    }, but a positive finite number is ` +
      "required",
  );
}

/**
 * Refuses a head's prior of other classes than a task has: row c stands for class c.
 *
 * @throws TypeError that names the first difference
 */
export function requireHeadClasses({ classNames }: HeadPrior, task: readonly string[], name: string): void {
  if (classNames.length !== task.length) {
    throw new TypeError(
      `Cannot use the learned prior of a head of ${classNames.length} classes: ${name} has ${task.length}, and the same ` +
        "classes in the same order are required",
    );
  }
  const other = classNames.findIndex((found, index) => found !== task[index]);
  if (other < 0) return;
  throw new TypeError(
    `Cannot use the learned prior of a head: its class ${other} is ${JSON.stringify(classNames[other])}, that of ` +
      `${name} ${JSON.stringify(task[other])}; the same classes in the same order are required`,
  );
}

/**
 * Laplace's approximation of a trained network's last layer (MacKay, 1992; Ritter, Botev and Barber, ICLR 2018; Daxberger
 * et al., arXiv 2106.14806): how uncertain its predictions are where only the head is unknown.
 *
 * @module
 */

import { softmax } from "../evaluation/softmax.ts";
import { type HeadAxes, type HeadGaussian, parted } from "../priors/head_gaussian.ts";
import { eigenOfSymmetric } from "../priors/tridiagonal.ts";

/** What of the head's Gauss-Newton matrix is kept: its diagonal, or a Kronecker product of two factors. */
export type HeadCurvature = "diagonal" | "kronecker";

/** The head of a trained network over the features of its training images. */
export interface LastLayerData {
  /** [n, F] */
  readonly features: Float32Array;
  /** [n, C] */
  readonly logits: Float32Array;
  /** [C * F + C]: weight, then bias. */
  readonly head: Float32Array;
  /** C */
  readonly numClasses: number;
}

/** Logits [n, C] of features [n, F] by a head [C * F + C]: weight, then bias. In float64, rounded once. */
export function headLogits(features: Float32Array, head: Float32Array, numClasses: number): Float32Array {
  const width = head.length / numClasses - 1, bias = width * numClasses;
  return Float32Array.from({ length: features.length / width * numClasses }, (_, i) => {
    const c = i % numClasses, row = (i - c) / numClasses * width, weight = c * width;
    let sum = head[bias + c];
    for (let j = 0; j < width; j++) sum += head[weight + j] * features[row + j];
    return sum;
  });
}

/** How the posterior is approximated. */
export interface LastLayerOptions {
  /** What of the Gauss-Newton matrix is kept. */
  readonly curvature: HeadCurvature;
  /** tau: precision of the head's zero-mean Gaussian prior; default the one of largest evidence. */
  readonly precision?: number;
}

/** Curvature in the directions in which it is diagonal, and the variance of logits that follows. */
interface Curvature {
  /** Eigenvalues of the curvature: as many as the head has weights. */
  readonly eigenvalues: Float64Array;
  /** Of the eigenvalues, [C, F + 1]; absent: those of weights and biases. */
  readonly axes?: HeadAxes;
  /** Variance of each logit of an image, [C], given its features with a 1 behind them. */
  variances(features: Float64Array, precision: number): Float64Array;
}

/** Least and largest precision that the evidence is looked at for, as powers of e. */
const RANGE = [-20, 20] as const;

/**
 * A Gaussian over the weights and biases of the last layer, of precision H + tau I. H is the Gauss-Newton matrix of the
 * training set's cross-entropy, sum over images of (diag p - p p^T) (x) f f^T with a 1 behind the features f, of which
 * `diagonal` keeps the diagonal, and `kronecker` n times the product of the means of both factors.
 */
export class LastLayerLaplace {
  /** tau */
  readonly precision: number;
  /** log evidence of the precision but for the likelihood at the head, in nats: what the choice of tau maximises. */
  readonly logEvidence: number;
  readonly #curvature: Curvature;
  readonly #head: Float32Array;
  readonly #numClasses: number;

  private constructor(curvature: Curvature, head: Float32Array, numClasses: number, precision?: number) {
    this.#curvature = curvature;
    this.#head = head;
    this.#numClasses = numClasses;
    const square = head.reduce((sum, value) => sum + value * value, 0);
    const evidence = (tau: number) => logEvidence(curvature.eigenvalues, square, tau);
    this.precision = precision ?? Math.exp(maximise((log) => evidence(Math.exp(log)), ...RANGE));
    this.logEvidence = evidence(this.precision);
  }

  /**
   * Fits the posterior.
   *
   * @throws RangeError where the precision is not positive
   */
  static fit(data: LastLayerData, { curvature, precision }: LastLayerOptions): LastLayerLaplace {
    if (precision !== undefined && !(precision > 0 && precision < Infinity)) {
      throw new RangeError(`Cannot fit a last layer at precision ${precision}: a positive number is required`);
    }
    const found = curvature === "diagonal" ? diagonalCurvature(data) : kroneckerCurvature(data);
    return new LastLayerLaplace(found, data.head, data.numClasses, precision);
  }

  /**
   * Probabilities [n, C] of images: softmax of the logits, each over sqrt(1 + pi / 8 times its variance), MacKay's
   * approximation of the mean of the softmax.
   */
  predict(features: Float32Array, logits: Float32Array): Float64Array {
    const variances = this.logitVariances(features);
    return softmax(
      Float64Array.from(logits, (z, i) => z / Math.sqrt(1 + Math.PI / 8 * variances[i])),
      this.#numClasses,
    );
  }

  /** The posterior over weight and bias, as a prior of a task with the same classes. */
  gaussian(): HeadGaussian {
    const { eigenvalues, axes } = this.#curvature;
    return {
      mean: this.#head,
      variance: parted(eigenvalues.map((value) => 1 / (value + this.precision)), this.#numClasses),
      axes,
    };
  }

  /** Variance of each logit, [n, C]. */
  logitVariances(features: Float32Array): Float64Array {
    const rows = rowsOf(features, this.#curvature, this.#numClasses);
    const found = new Float64Array(rows.length * this.#numClasses);
    rows.forEach((row, i) => found.set(this.#curvature.variances(row, this.precision), i * this.#numClasses));
    return found;
  }
}

/** ln of the evidence: (d ln tau - tau |w|^2 - sum ln (h + tau)) / 2 over the d eigenvalues h of the curvature. */
function logEvidence(eigenvalues: Float64Array, square: number, tau: number): number {
  let log = eigenvalues.length * Math.log(tau) - tau * square;
  for (const value of eigenvalues) log -= Math.log(value + tau);
  return log / 2;
}

/** Where a function of one peak is largest, by golden sections. */
function maximise(f: (x: number) => number, low: number, high: number): number {
  const share = (Math.sqrt(5) - 1) / 2;
  let a = high - share * (high - low), b = low + share * (high - low), fa = f(a), fb = f(b);
  while (high - low > 1e-6) {
    if (fa > fb) {
      [high, b, fb] = [b, a, fa];
      a = high - share * (high - low);
      fa = f(a);
    } else {
      [low, a, fa] = [a, b, fb];
      b = low + share * (high - low);
      fb = f(b);
    }
  }
  return (low + high) / 2;
}

/** Features of each image with a 1 behind them. */
function withOnes(features: Float32Array, width: number): Float64Array[] {
  return Array.from({ length: features.length / width }, (_, i) => {
    const row = new Float64Array(width + 1);
    row.set(features.subarray(i * width, (i + 1) * width));
    row[width] = 1;
    return row;
  });
}

function rowsOf(features: Float32Array, { eigenvalues }: Curvature, numClasses: number): Float64Array[] {
  return withOnes(features, eigenvalues.length / numClasses - 1);
}

function trainingRows({ features, head, numClasses }: LastLayerData): Float64Array[] {
  return withOnes(features, head.length / numClasses - 1);
}

function diagonalCurvature(data: LastLayerData): Curvature {
  const { logits, numClasses } = data, rows = trainingRows(data), width = rows[0].length;
  const probabilities = softmax(logits, numClasses), eigenvalues = new Float64Array(numClasses * width);
  rows.forEach((row, i) => {
    for (let c = 0; c < numClasses; c++) {
      const p = probabilities[i * numClasses + c], weight = p * (1 - p);
      for (let j = 0; j < width; j++) eigenvalues[c * width + j] += weight * row[j] * row[j];
    }
  });
  return {
    eigenvalues,
    variances: (row, precision) =>
      Float64Array.from({ length: numClasses }, (_, c) => {
        let sum = 0;
        for (let j = 0; j < width; j++) sum += row[j] * row[j] / (eigenvalues[c * width + j] + precision);
        return sum;
      }),
  };
}

function kroneckerCurvature(data: LastLayerData): Curvature {
  const { logits, numClasses } = data, rows = trainingRows(data), n = rows.length;
  const inputs = eigenOfSymmetric(meanOuter(rows));
  const outputs = eigenOfSymmetric(meanLossHessian(softmax(logits, numClasses), numClasses, n));
  // Rounding may leave an eigenvalue a hair below zero.
  const a = inputs.values.map((value) => Math.max(0, value)), g = outputs.values.map((value) => Math.max(0, value));
  const eigenvalues = Float64Array.from({ length: a.length * g.length }, (_, i) => {
    return n * g[Math.floor(i / a.length)] * a[i % a.length];
  });
  return {
    eigenvalues,
    axes: { inputs: columns(inputs.vectors), outputs: columns(outputs.vectors) },
    variances(row, precision) {
      const squares = inputs.vectors.map((vector) => vector.reduce((sum, value, j) => sum + value * row[j], 0) ** 2);
      const found = new Float64Array(numClasses);
      outputs.vectors.forEach((vector, k) => {
        let sum = 0;
        for (let j = 0; j < a.length; j++) sum += squares[j] / (n * a[j] * g[k] + precision);
        for (let c = 0; c < numClasses; c++) found[c] += vector[c] * vector[c] * sum;
      });
      return found;
    },
  };
}

/** Vectors as the columns of a matrix, rounded to float32. */
function columns(vectors: readonly Float64Array[]): Float32Array {
  const size = vectors.length, matrix = new Float32Array(size * size);
  vectors.forEach((vector, k) => vector.forEach((value, i) => matrix[i * size + k] = value));
  return matrix;
}

/** Mean of f f^T. */
function meanOuter(rows: readonly Float64Array[]): Float64Array[] {
  const width = rows[0].length;
  const matrix = Array.from({ length: width }, () => new Float64Array(width));
  for (const row of rows) {
    for (let i = 0; i < width; i++) {
      const weight = row[i] / rows.length, into = matrix[i];
      if (weight !== 0) { for (let j = 0; j <= i; j++) into[j] += weight * row[j]; }
    }
  }
  matrix.forEach((row, i) => {
    for (let j = 0; j < i; j++) matrix[j][i] = row[j];
  });
  return matrix;
}

/** Mean of diag p - p p^T. */
function meanLossHessian(probabilities: Float64Array, numClasses: number, n: number): Float64Array[] {
  const matrix = Array.from({ length: numClasses }, () => new Float64Array(numClasses));
  for (let i = 0; i < n; i++) {
    const p = probabilities.subarray(i * numClasses, (i + 1) * numClasses);
    for (let c = 0; c < numClasses; c++) {
      matrix[c][c] += p[c] / n;
      for (let d = 0; d < numClasses; d++) matrix[c][d] -= p[c] * p[d] / n;
    }
  }
  return matrix;
}

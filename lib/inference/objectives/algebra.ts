/**
 * The algebra of losses over rows of projections.
 *
 * @module
 */

import type { Graph } from "../../graph/graph.ts";
import { arithmetic, type ArithmeticKind } from "../../ops/arithmetic.ts";
import { l2Normalise } from "../../ops/l2_normalise.ts";
import { linear } from "../../ops/linear.ts";
import { stopGradient } from "../../ops/flow.ts";
import { concat, slice, transpose } from "../../ops/movement.ts";
import { type Tensor, view } from "../../ops/operation.ts";
import { reduceMean, reduceSum } from "../../ops/reduce.ts";
import { unary } from "../../ops/unary.ts";

/** Operations on a graph's tensors; each takes the name of its result. */
export class Algebra {
  readonly graph: Graph;

  constructor(graph: Graph) {
    this.graph = graph;
  }

  /** Two tensors, element by element; sizes of 1 are repeated. */
  combine(name: string, kind: ArithmeticKind, a: Tensor, b: Tensor): Tensor {
    return this.graph.apply(arithmetic(name, kind, a, b));
  }

  /** scale * x + shift. */
  affine(name: string, x: Tensor, scale: number, shift = 0): Tensor {
    return this.graph.apply(unary(name, x, { kind: "affine", scale, shift }));
  }

  /** Rows of unit length. */
  normalise(name: string, x: Tensor): Tensor {
    return this.graph.apply(l2Normalise(name, x));
  }

  /** a [N, D] times b^T [D, M]: the products of all rows of a with all rows of b. */
  products(name: string, a: Tensor, b: Tensor): Tensor {
    return this.graph.apply(linear(name, a, this.transposed(`${name} transposed`, b)));
  }

  /** a^T [D, N] times b [N, M]: the products of all columns of a with all columns of b. */
  columnProducts(name: string, a: Tensor, b: Tensor): Tensor {
    return this.graph.apply(linear(name, this.transposed(`${name} transposed`, a), b));
  }

  /** A matrix with its axes exchanged. */
  transposed(name: string, x: Tensor): Tensor {
    return this.graph.apply(transpose(name, x, [1, 0]));
  }

  /** x * x, element by element. */
  square(name: string, x: Tensor): Tensor {
    return this.combine(name, "mul", x, x);
  }

  /** The second half of the rows, then the first: of two views, the other one. */
  swapped(name: string, x: Tensor): Tensor {
    const [first, second] = this.halves(name, x);
    return this.graph.apply(concat(name, [second, first], 0));
  }

  /** The rows of the first view and those of the second. */
  halves(name: string, x: Tensor): [Tensor, Tensor] {
    const half = x.shape[0] / 2;
    return [this.rows(`${name} of view 1`, x, 0, half), this.rows(`${name} of view 2`, x, half, 2 * half)];
  }

  /**
   * What each view is compared with: the rows of the other large view for a large one, and of each of the two large ones in
   * turn for a small one.
   *
   * @param targets [2 B, D]: of the large views
   * @param views all of them, the large ones first
   * @returns [2 B, D] for the large views; [(views - 2) B, D] twice for the small ones, where there are any
   */
  counterparts(name: string, targets: Tensor, views: number): { large: Tensor; small?: readonly [Tensor, Tensor] } {
    const large = this.swapped(name, targets);
    if (views === 2) return { large };
    const repeated = (half: Tensor, which: string) =>
      views === 3 ? half : this.graph.apply(concat(`${name} ${which}`, Array(views - 2).fill(half), 0));
    const [first, second] = this.halves(`${name} of small views`, targets);
    return { large, small: [repeated(first, "first"), repeated(second, "second")] };
  }

  /** Rows without their mean. */
  centred(name: string, x: Tensor): Tensor {
    return this.combine(name, "sub", x, this.graph.apply(reduceMean(`${name} mean`, x, [0])));
  }

  /** Numbers of which nothing flows back. */
  fixed(name: string, x: Tensor): Tensor {
    return this.graph.apply(stopGradient(name, x));
  }

  /** The mean over rows of the cosine of the angle between a row of a and that of b, [1]. */
  meanCosine(name: string, a: Tensor, b: Tensor): Tensor {
    const products = this.combine(
      `${name} products`,
      "mul",
      this.normalise(`${name} left`, a),
      this.normalise(`${name} right`, b),
    );
    return this.affine(name, this.sum(`${name} sum`, products), 1 / a.shape[0]);
  }

  /** Rows `start` to `end` - 1. */
  rows(name: string, x: Tensor, start: number, end: number): Tensor {
    return this.graph.apply(slice(name, x, [{ axis: 0, start, end }]));
  }

  /** The mean of all elements, [1]. */
  mean(name: string, x: Tensor): Tensor {
    const axes = x.shape.map((_, axis) => axis);
    return view(this.graph.apply(reduceMean(name, x, axes)), [1]);
  }

  /** The sum of all elements, [1]. */
  sum(name: string, x: Tensor): Tensor {
    const axes = x.shape.map((_, axis) => axis);
    return view(this.graph.apply(reduceSum(name, x, axes)), [1]);
  }
}

/**
 * The algebra of losses over rows of projections.
 *
 * @module
 */

import type { Graph } from "../../graph/graph.ts";
import { arithmetic, type ArithmeticKind } from "../../ops/arithmetic.ts";
import { l2Normalise } from "../../ops/l2_normalise.ts";
import { linear } from "../../ops/linear.ts";
import { slice, transpose } from "../../ops/movement.ts";
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
    return this.graph.apply(linear(name, a, this.graph.apply(transpose(`${name} transposed`, b, [1, 0]))));
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

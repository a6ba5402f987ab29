/**
 * Lines of an axis by a table of indices, as `torch.index_select`: embeddings, position biases.
 *
 * @module
 */

import source from "../../kernels/gather.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { loop, widthOf } from "./elementwise.ts";
import { type Operation, requireSize, scratch, shapeError, type Tensor } from "./operation.ts";
import { axisOf } from "./strides.ts";

/** The tables of one gathering, as numbers or as tensors of unsigned integers. */
export interface GatherTables<T = Uint32Array<ArrayBuffer>> {
  /** Line of the input that each line of the output is: [LINES]. */
  readonly indices: T;
  /** Where each line of the input went: SIZE + 1 starts of lists, then the lists: [SIZE + 1 + LINES]. */
  readonly places: T;
}

/**
 * The tables that {@linkcode gather} needs for lines `indices` of an axis of `size`.
 *
 * @throws RangeError where an index is not one of the axis
 */
export function gatherTables(indices: readonly number[], size: number): GatherTables {
  requireSize("gather", "the axis's size", size);
  const lists: number[][] = Array.from({ length: size }, () => []);
  indices.forEach((index, place) => {
    const list = lists[index] as number[] | undefined;
    if (list === undefined) {
      throw new RangeError(`Cannot build gather: index ${index} was found, but one from 0 to ${size - 1} is required`);
    }
    list.push(place);
  });
  let start = 0;
  const starts = lists.map((list) => (start += list.length) - list.length);
  return { indices: Uint32Array.from(indices), places: Uint32Array.from([...starts, start, ...lists.flat()]) };
}

/**
 * input[..., indices, ...] along an axis, by the tables of {@linkcode gatherTables}. Gradients of lines that were taken
 * several times are summed in order; without `places` there are none.
 */
export function gather(
  name: string,
  input: Tensor,
  axis: number,
  tables: Pick<GatherTables<Tensor>, "indices"> & Partial<GatherTables<Tensor>>,
): Operation {
  const along = axisOf("gather", axis, input.shape.length);
  const { indices, places } = tables, lines = sizeOf(indices.shape), size = input.shape[along];
  if (places !== undefined && sizeOf(places.shape) !== size + 1 + lines) {
    throw shapeError(
      "gather",
      `tables of ${lines} and ${sizeOf(places.shape)} numbers for an axis of ${size}`,
      `${size + 1 + lines} places are required`,
    );
  }
  const inner = sizeOf(input.shape.slice(along + 1)), width = widthOf(inner);
  const output = scratch(name, input.shape.map((n, other) => other === along ? lines : n));
  const constants = { INNER: inner, SIZE: size, LINES: lines };
  return {
    kind: "gather",
    inputs: [input, indices],
    output,
    forward: () => [loop({
      label: `${name} forward`,
      source,
      count: sizeOf(output.shape) / width,
      width,
      constants: { ...constants, BACKWARD: 0 },
      bindings: [indices, input, output],
    })],
    backward(_target, dOutput, gradientOf) {
      const slot = places && gradientOf(input);
      if (slot === undefined) return [];
      return [loop({
        label: `${name} gradient`,
        source,
        count: sizeOf(input.shape) / width,
        width,
        items: 1,
        constants: { ...constants, BACKWARD: 1, ACCUMULATE: slot.accumulate ? 1 : 0 },
        bindings: [places!, dOutput, slot.tensor],
      })];
    },
  };
}

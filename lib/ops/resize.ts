/**
 * Images in another size, as `torch.nn.functional.interpolate`.
 *
 * @module
 */

import source from "../../kernels/resample.wgsl" with { type: "text" };
import { sizeOf } from "../tensor.ts";
import { loop, widthOf } from "./elementwise.ts";
import { type Dispatch, imageShape, type Operation, scratch, shapeError, type Tensor } from "./operation.ts";
import { type AxisResize, resizeTaps, type Tap, transposedTaps } from "./resize_taps.ts";

/** The tables of one resizing, as numbers or as tensors of unsigned integers: of each axis, and of its gradient. */
export interface ResizeTables<T = Uint32Array<ArrayBuffer>> {
  readonly rows: T;
  readonly columns: T;
  readonly rowsBack: T;
  readonly columnsBack: T;
}

/** Starts of lists, then the lists: pairs of an index and the bits of a float32 weight. */
function tableOf(lists: readonly (readonly Tap[])[]): Uint32Array<ArrayBuffer> {
  let start = 0;
  const starts = lists.map((list) => (start += list.length) - list.length);
  const table = new Uint32Array(lists.length + 1 + 2 * start);
  table.set([...starts, start]);
  const weights = new Float32Array(table.buffer);
  lists.flat().forEach(([index, weight], i) => {
    table[lists.length + 1 + 2 * i] = index;
    weights[lists.length + 2 + 2 * i] = weight;
  });
  return table;
}

/** The tables that {@linkcode resize} needs for these axes. */
export function resizeTables(rows: AxisResize, columns: AxisResize): ResizeTables {
  const rowTaps = resizeTaps(rows), columnTaps = resizeTaps(columns);
  return {
    rows: tableOf(rowTaps),
    columns: tableOf(columnTaps),
    rowsBack: tableOf(transposedTaps(rowTaps, rows.from)),
    columnsBack: tableOf(transposedTaps(columnTaps, columns.from)),
  };
}

/** Resizes input [N, H, W, C] to [N, height, width, C], by the tables of {@linkcode resizeTables}. */
export function resize(
  name: string,
  input: Tensor,
  { height, width }: { readonly height: number; readonly width: number },
  tables: ResizeTables<Tensor>,
): Operation {
  const { n, h, w, c } = imageShape("resize", input);
  const needed: [keyof ResizeTables, number][] = [["rows", height], ["columns", width], ["rowsBack", h], [
    "columnsBack",
    w,
  ]];
  for (const [table, lines] of needed) {
    const size = sizeOf(tables[table].shape);
    if (size < lines + 1 || (size - lines - 1) % 2 !== 0) {
      throw shapeError("resize", `a table ${table} of ${size} numbers`, `lists of ${lines} lines are required`);
    }
  }
  const output = scratch(name, [n, height, width, c]);
  const vector = widthOf(c);
  const launch = (label: string, from: Tensor, to: Tensor, accumulate: boolean, lists: Tensor[]): Dispatch =>
    loop({
      label: `${name} ${label}`,
      source,
      count: sizeOf(to.shape) / vector,
      width: vector,
      items: 1,
      constants: {
        C: c,
        INPUT_H: from.shape[1],
        INPUT_W: from.shape[2],
        OUTPUT_H: to.shape[1],
        OUTPUT_W: to.shape[2],
        ACCUMULATE: accumulate ? 1 : 0,
      },
      bindings: [from, to, ...lists],
    });
  return {
    kind: "resize",
    inputs: [input],
    output,
    forward: () => [launch("forward", input, output, false, [tables.rows, tables.columns])],
    backward(_target, dOutput, gradientOf) {
      const slot = gradientOf(input);
      if (slot === undefined) return [];
      return [launch("gradient", dOutput, slot.tensor, slot.accumulate, [tables.rowsBack, tables.columnsBack])];
    },
  };
}

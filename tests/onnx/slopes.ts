/**
 * Gradients against an implementation of the format that is not ours: how ONNX Runtime's loss changes along a fixed
 * direction of each parameter. A parameter that gets no gradient, or a part of it, is told by its own direction, which a
 * step along the gradient itself would not do.
 *
 * @module
 */

import { assert, assertAlmostEquals } from "@std/assert";
import ort from "npm:onnxruntime-node@1.16.3";
import { onnxProto } from "../../lib/deps.ts";
import { hashedValues } from "../reference/hashed.ts";

const { ModelProto } = onnxProto.onnx;
/** First stream of the directions. */
const DIRECTIONS = 7_400_000;
/** Length of a step, of which a difference is off by the fourth power: at worst by 1e-4 of the slope, behind a LayerNorm. */
const STEP = 0.03, RELATIVE = 5e-4;
/** Shorter, where a maximum's place would change within a long one. */
const SHORT_STEP = 0.003;
/** The loss, of order 1, is known to 1e-7, and eight of its differences are divided by twelve steps. */
const ROUNDING = 3e-7;

/** Images [N, C, H, W] and labels. */
export interface SlopeBatch {
  readonly images: Float32Array;
  readonly shape: readonly number[];
  readonly labels: Uint32Array;
}

/** Mean cross-entropy of rows of logits. */
function crossEntropy(logits: Float32Array, labels: Uint32Array): number {
  const classes = logits.length / labels.length;
  const losses = Array.from(labels, (label, row) => {
    const values = Array.from(logits.subarray(row * classes, (row + 1) * classes), Number);
    const most = Math.max(...values);
    return most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0)) - values[label];
  });
  return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
}

/** A file whose named weights are inputs, at first with the values that were stored. */
async function withInputs(file: Uint8Array, names: readonly string[], { images, shape, labels }: SlopeBatch) {
  const model = ModelProto.decode(file), graph = model.graph!, weights = new Map<string, ort.Tensor>();
  const [{ name: input }] = graph.input!;
  for (const { name, dims, rawData, floatData } of graph.initializer!.filter(({ name }) => names.includes(name!))) {
    const values = floatData?.length ? Float32Array.from(floatData) : new Float32Array(rawData!.slice().buffer);
    const dim = dims!.map((n) => ({ dimValue: Number(n) }));
    graph.input!.push({ name, type: { tensorType: { elemType: 1, shape: { dim } } } });
    weights.set(name!, new ort.Tensor("float32", values, dims!.map(Number)));
  }
  graph.initializer = graph.initializer!.filter(({ name }) => !weights.has(name!));
  const bytes = new Uint8Array(ModelProto.encode(model).finish());
  const session = await ort.InferenceSession.create(bytes, { intraOpNumThreads: 1 });
  const feeds = { ...Object.fromEntries(weights), [input!]: new ort.Tensor("float32", images, [...shape]) };
  const lossAt = async (name: string, values: Float32Array) => {
    const moved = { [name]: new ort.Tensor("float32", values, weights.get(name)!.dims) };
    const { data } = (await session.run({ ...feeds, ...moved }))[session.outputNames[0]];
    return crossEntropy(data as Float32Array, labels);
  };
  return { session, weights, lossAt };
}

/**
 * Asserts that gradients are the slopes of ONNX Runtime's loss along hashed directions, one a parameter, and that each
 * direction tells a gradient from none.
 *
 * @param file without weights in other files, the parameters in float32
 * @param how `flat`: parameters on which the loss does not depend, whose slopes are zero; `kinked`: a step must be short
 */
export async function assertSlopes(
  file: Uint8Array,
  gradients: ReadonlyMap<string, Float32Array>,
  batch: SlopeBatch,
  { flat = [], kinked = false }: { readonly flat?: readonly string[]; readonly kinked?: boolean } = {},
): Promise<void> {
  const step = kinked ? SHORT_STEP : STEP;
  const { session, weights, lossAt } = await withInputs(file, [...gradients.keys()], batch);
  for (const [index, [name, gradient]] of [...gradients].entries()) {
    const hashed = hashedValues(DIRECTIONS + index, gradient.length, 1), length = Math.hypot(...hashed);
    const direction = hashed.map((value) => value / length), stored = weights.get(name)!.data as Float32Array;
    const at = (steps: number) => lossAt(name, stored.map((value, i) => value + steps * step * direction[i]));
    const [near, far] = [await at(1) - await at(-1), await at(2) - await at(-2)];
    const slope = (8 * near - far) / (12 * step), found = gradient.reduce((sum, g, i) => sum + g * direction[i], 0);
    const bound = ROUNDING / step + RELATIVE * Math.abs(slope);
    assertAlmostEquals(found, slope, bound, `the gradient of ${name}`);
    assert(flat.includes(name) !== Math.abs(slope) > 5 * bound, `the slope of ${name} is ${slope}`);
  }
  await session.release();
}

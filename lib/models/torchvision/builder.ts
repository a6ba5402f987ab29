/**
 * torchvision's layers as ONNX nodes whose weights are yet to come. A network that is built of them takes the way of an
 * imported one to the device, and its file when it is exported.
 *
 * Values are images [C, H, W], rows of numbers [..., C] or features [C]; the axis of the batch stands before each and is not
 * mentioned. Layers have the names of a torchvision checkpoint, and those with weights are built in the order in which
 * PyTorch registers them.
 *
 * @module
 */

import { UsageError } from "../../errors.ts";
import { NodeList } from "../../onnx/export/nodes.ts";
import * as operators from "../../onnx/export/operators.ts";
import { both, type Pair } from "../../onnx/export/operators.ts";
import type { AttributeValue, OnnxModel } from "../../onnx/model.ts";
import { float32Tensor, type HostTensor, sizeOf } from "../../tensor.ts";
import { byInputs, constant, heOut, type Initial } from "../initial.ts";

/** A value between layers. */
export interface Value {
  readonly name: string;
  /** Sizes but the batch's. */
  readonly shape: readonly number[];
}

/** Geometry of a window. */
export interface WindowLayer {
  readonly kernel: Pair;
  /** 1 unless given. */
  readonly stride?: number;
  /** Zeros around the image; none unless given. */
  readonly padding?: Pair;
  /** Windows that begin inside the image count though they end outside. */
  readonly ceil?: boolean;
}

/** A convolution. */
export interface ConvolutionLayer extends Omit<WindowLayer, "ceil"> {
  readonly out: number;
  /** 1 unless given. */
  readonly groups?: number;
  readonly bias?: boolean;
  /** Of its weight; He et al. (fan out) unless given. */
  readonly initial?: Initial;
  /** Of its bias; 0 unless given. */
  readonly initialBias?: Initial;
}

/** A linear layer with a bias. */
export interface LinearLayer {
  readonly out: number;
  /** Of its weight. */
  readonly initial: Initial;
  /** Of its bias; 0 unless given. */
  readonly initialBias?: Initial;
}

/** Settings of a normalisation over a batch. */
export interface NormLayer {
  /** Added to the variance; 1e-5 unless given. */
  readonly eps?: number;
  /** Weight of a batch in the running statistics; 0.1 unless given. */
  readonly momentum?: number;
}

/** Version of the operators. */
const OPSET = 17;
const IMAGES = "input", LOGITS = "output";

/** Positions of a window along an axis, as PyTorch counts them. */
function positions(size: number, kernel: number, stride: number, padding: number, ceil: boolean): number {
  const spare = size + 2 * padding - kernel;
  if (!ceil) return Math.floor(spare / stride) + 1;
  const count = Math.ceil(spare / stride) + 1;
  return (count - 1) * stride >= size + padding ? count - 1 : count;
}

/** Appends a network to its normalised images: logits. */
export type Architecture = (builder: NetworkBuilder, numClasses: number) => Value;

/** A network under construction. */
export class NetworkBuilder {
  /** The normalised images. */
  readonly images: Value;
  /** From what fresh tensors are drawn, by name. */
  readonly initial: Map<string, Initial> = new Map();
  readonly #nodes = new NodeList();
  readonly #shapes = new Map<string, readonly number[]>();

  constructor(height: number, width: number) {
    this.images = { name: IMAGES, shape: [3, height, width] };
  }

  /** Declares a weight; its name. */
  weight(name: string, shape: readonly number[], initial: Initial): string {
    this.#shapes.set(name, shape);
    this.initial.set(name, initial);
    return name;
  }

  #add(
    operator: string,
    name: string,
    inputs: readonly (Value | string)[],
    shape: readonly number[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
  ): Value {
    const names = inputs.map((input) => typeof input === "string" ? input : input.name);
    return { name: this.#nodes.add(operator, name, names, attributes), shape };
  }

  /** A function of each element. */
  #each(
    operator: string,
    name: string,
    input: Value,
    attributes: Readonly<Record<string, AttributeValue>> = {},
  ): Value {
    return this.#add(operator, name, [input], input.shape, attributes);
  }

  /** The elements and a number. */
  #withNumber(operator: string, name: string, input: Value, value: number): Value {
    return this.#add(operator, name, [input, this.#nodes.floats(`${name}.number`, [], [value])], input.shape);
  }

  /** A two-dimensional convolution. */
  conv(name: string, input: Value, layer: ConvolutionLayer): Value {
    const { out, kernel, stride = 1, padding = 0, groups = 1, bias = false } = layer;
    const [channels] = input.shape, [rows, columns] = both(kernel);
    const weight = [out, channels / groups, rows, columns];
    this.weight(`${name}.weight`, weight, layer.initial ?? heOut(weight));
    if (bias) this.weight(`${name}.bias`, [out], layer.initialBias ?? constant(0));
    const window = { kernel, stride, padding }, shape = [out, ...this.#windows(name, input, window)];
    return { name: operators.conv(this.#nodes, name, input.name, { ...window, groups, bias }), shape };
  }

  /** Rows and columns of positions of a window. */
  #windows(name: string, { shape }: Value, { kernel, stride = 1, padding = 0, ceil = false }: WindowLayer): number[] {
    const counts = both(kernel).map((size, axis) =>
      positions(shape[axis + 1], size, stride, both(padding)[axis], ceil)
    );
    if (counts.every((count) => count >= 1)) return counts;
    const [, height, width] = this.images.shape, [, rows, columns] = shape;
    throw new UsageError(
      `Cannot build a network for images of ${height}x${width}: at its layer ${name} ${rows}x${columns} pixels are left, ` +
        "too few for a window; larger images are required",
    );
  }

  /** Normalisation of each channel of images over the batch. */
  batchNorm(name: string, input: Value, { eps = 1e-5, momentum = 0.1 }: NormLayer = {}): Value {
    for (const [key, value] of [["weight", 1], ["bias", 0], ["running_mean", 0], ["running_var", 1]] as const) {
      this.weight(`${name}.${key}`, [input.shape[0]], constant(value));
    }
    return { ...input, name: operators.batchNormalisation(this.#nodes, name, input.name, { eps, momentum }) };
  }

  /** Normalisation of each row of numbers. */
  layerNorm(name: string, input: Value, eps: number): Value {
    const width = input.shape.at(-1)!;
    const weight = this.weight(`${name}.weight`, [width], constant(1));
    const bias = this.weight(`${name}.bias`, [width], constant(0));
    return this.#add("LayerNormalization", name, [input, weight, bias], input.shape, { axis: -1, epsilon: eps });
  }

  /** A linear layer over rows of numbers. */
  linear(name: string, input: Value, layer: LinearLayer): Value {
    const { out, initial, initialBias = constant(0) } = layer;
    const width = input.shape.at(-1)!, rows = input.shape.slice(0, -1);
    const weight = this.weight(`${name}.weight`, [out, width], initial);
    const weights = [weight, this.weight(`${name}.bias`, [out], initialBias)];
    return this.linearOf(name, input, weights, [...rows, out]);
  }

  /** A linear layer by weights that are declared: [OUT, IN] and, if there is one, a bias [OUT]. */
  linearOf(name: string, input: Value, weights: readonly string[], shape: readonly number[]): Value {
    if (input.shape.length === 1) return this.#add("Gemm", name, [input, ...weights], shape, { transB: 1 });
    const list = this.#reshape(`${name}.rows`, input, [-1, input.shape.at(-1)!], []);
    const product = this.#add("Gemm", name, [list, ...weights], [], { transB: 1 });
    return this.#reshape(`${name}.shaped`, product, [-1, ...shape], shape);
  }

  /** The last layer, over features. Its fresh weights and biases are drawn as PyTorch's default is, of whatever network. */
  head(name: string, features: Value, out: number): Value {
    const initial = byInputs(features.shape[0]);
    return this.linear(name, features, { out, initial, initialBias: initial });
  }

  relu(name: string, input: Value): Value {
    return { ...input, name: operators.relu(this.#nodes, name, input.name) };
  }

  relu6(name: string, input: Value): Value {
    const limits = [0, 6].map((limit) => this.#nodes.floats(`${name}.limit${limit}`, [], [limit]));
    return this.#add("Clip", name, [input, ...limits], input.shape);
  }

  sigmoid(name: string, input: Value): Value {
    return this.#each("Sigmoid", name, input);
  }

  hardSigmoid(name: string, input: Value): Value {
    return this.#each("HardSigmoid", name, input, { alpha: 1 / 6, beta: 0.5 });
  }

  hardSwish(name: string, input: Value): Value {
    return this.#each("HardSwish", name, input);
  }

  /** x sigmoid(x). */
  silu(name: string, input: Value): Value {
    return this.mul(name, input, this.sigmoid(`${name}.sigmoid`, input));
  }

  /** x (1 + erf(x / sqrt 2)) / 2. */
  gelu(name: string, input: Value): Value {
    const erf = this.#each("Erf", `${name}.erf`, this.#withNumber("Div", `${name}.scaled`, input, Math.SQRT2));
    const product = this.mul(`${name}.product`, input, this.#withNumber("Add", `${name}.shifted`, erf, 1));
    return this.#withNumber("Mul", name, product, 0.5);
  }

  /** The sum; the second is repeated along axes that it lacks or has of size 1. */
  add(name: string, a: Value, b: Value | string): Value {
    return this.#add("Add", name, [a, b], a.shape);
  }

  /** The product, as {@linkcode add}. */
  mul(name: string, a: Value, b: Value | string): Value {
    return this.#add("Mul", name, [a, b], a.shape);
  }

  /** The elements times a number. */
  scaled(name: string, input: Value, factor: number): Value {
    return this.#withNumber("Mul", name, input, factor);
  }

  /** Each channel of images times a number of its own, and plus another. */
  channelsScaled(name: string, input: Value, factors: readonly number[], terms: readonly number[]): Value {
    const stored = (key: string, values: readonly number[]) =>
      this.table(`${name}.${key}`, [1, values.length, 1, 1], values);
    return this.add(name, this.mul(`${name}.scaled`, input, stored("factors", factors)), stored("terms", terms));
  }

  /** A table that does not train, whatever reads it: the name of its value. */
  table(name: string, shape: readonly number[], values: readonly number[]): string {
    return this.#nodes.table(name, shape, values);
  }

  /** Rows of a weight [ROWS, C] by index, arranged as [HEADS = C, *shape]. */
  headsOf(name: string, weight: string, indices: readonly number[], shape: readonly number[], heads: number): string {
    const list = this.#nodes.integers(`${name}.indices`, indices);
    const gathered = this.#nodes.add("Gather", `${name}.gathered`, [weight, list], { axis: 0 });
    const target = this.#nodes.integers(`${name}.shape`, [...shape, heads]);
    const shaped = this.#nodes.add("Reshape", `${name}.shaped`, [gathered, target]);
    const last = shape.length;
    return this.#nodes.add("Transpose", name, [shaped], { perm: [last, ...shape.keys()] });
  }

  maxPool(name: string, input: Value, { kernel, stride = 1, padding = 0, ceil }: WindowLayer): Value {
    const window = { kernel, stride, padding };
    const shape = [input.shape[0], ...this.#windows(name, input, { ...window, ceil })];
    return { name: operators.maxPool(this.#nodes, name, input.name, window, ceil), shape };
  }

  /** Averages of windows; zeros around the image count. */
  averagePool(name: string, input: Value, { kernel, stride = 1, padding = 0 }: Omit<WindowLayer, "ceil">): Value {
    const window = { kernel, stride, padding }, shape = [input.shape[0], ...this.#windows(name, input, window)];
    return { name: operators.averagePool(this.#nodes, name, input.name, window), shape };
  }

  /** The average of each channel, as an image of one pixel. */
  globalAveragePool(name: string, input: Value): Value {
    return this.#add("GlobalAveragePool", name, [input], [input.shape[0], 1, 1]);
  }

  /**
   * Averages of `size` x `size` parts of an image: pixel i of n is of part p where floor(p n / size) <= i <
   * ceil((p + 1) n / size). Parts of one size are a pool; others are two products with the matrices that take the averages.
   */
  adaptiveAveragePool(name: string, input: Value, size: number): Value {
    const [channels, height, width] = input.shape, shape = [channels, size, size];
    if (height === size && width === size) return input;
    if (height === width && height % size === 0) {
      const kernel = height / size;
      return this.averagePool(name, input, { kernel, stride: kernel });
    }
    const shares = (n: number) =>
      Array.from({ length: size }, (_, part) => {
        const start = Math.floor(part * n / size), end = Math.ceil((part + 1) * n / size);
        return Array.from({ length: n }, (_, i) => start <= i && i < end ? 1 / (end - start) : 0);
      });
    const [ofRows, ofColumns] = [shares(height), shares(width)];
    const right = this.table(
      `${name}.columns`,
      [width, size],
      ofColumns[0].flatMap((_, i) => ofColumns.map((p) => p[i])),
    );
    const left = this.table(`${name}.rows`, [1, 1, size, height], ofRows.flat());
    const narrow = this.#add("MatMul", `${name}.narrow`, [input, right], [channels, height, size]);
    return this.#add("MatMul", name, [left, narrow], shape);
  }

  /** The elements of an image as features. */
  flatten(name: string, input: Value): Value {
    return this.#add("Flatten", name, [input], [sizeOf(input.shape)], { axis: 1 });
  }

  /** Joins along an axis, counted without the batch's. */
  concat(name: string, values: readonly Value[], axis = 0): Value {
    const shape = [...values[0].shape];
    shape[axis] = values.reduce((sum, value) => sum + value.shape[axis], 0);
    return this.#add("Concat", name, values, shape, { axis: axis + 1 });
  }

  /** Elements from `start` to before `end` along an axis, counted without the batch's; every `step`-th. */
  slice(name: string, input: Value, axis: number, start: number, end: number, step = 1): Value {
    const shape = input.shape.map((n, index) => index === axis ? Math.ceil((end - start) / step) : n);
    const [starts, ends, axes, steps] = Object.entries({ starts: start, ends: end, axes: axis + 1, steps: step })
      .map(([key, value]) => this.#nodes.integers(`${name}.${key}`, [value]));
    return this.#add("Slice", name, [input, starts, ends, axes, steps], shape);
  }

  /** The value with its last elements along an axis first. */
  rolled(name: string, input: Value, axis: number, shift: number): Value {
    const size = input.shape[axis];
    const parts = [
      this.slice(`${name}.first`, input, axis, shift, size),
      this.slice(`${name}.last`, input, axis, 0, shift),
    ];
    return this.concat(name, parts, axis);
  }

  /** The value with zeros after its last elements, along its first axes. */
  padded(name: string, input: Value, after: readonly number[]): Value {
    if (after.every((n) => n === 0)) return input;
    const all = input.shape.map((_, axis) => after[axis] ?? 0);
    const pads = this.#nodes.integers(`${name}.pads`, [0, ...all.map(() => 0), 0, ...all]);
    return this.#add("Pad", name, [input, pads], input.shape.map((n, axis) => n + all[axis]), { mode: "constant" });
  }

  #reshape(name: string, input: Value, target: readonly number[], shape: readonly number[]): Value {
    return this.#add("Reshape", name, [input, this.#nodes.integers(`${name}.shape`, target)], shape);
  }

  /** The same elements in another shape. The batch may take axes in or give them away: there may be more elements, or fewer. */
  reshaped(name: string, input: Value, shape: readonly number[]): Value {
    return this.#reshape(name, input, [-1, ...shape], shape);
  }

  /** The axes in another order, each counted without the batch's, which stays first. */
  transposed(name: string, input: Value, order: readonly number[]): Value {
    const perm = [0, ...order.map((axis) => axis + 1)];
    return this.#add("Transpose", name, [input], order.map((axis) => input.shape[axis]), { perm });
  }

  /** Products of matrices in the last two axes. */
  matmul(name: string, a: Value, b: Value): Value {
    return this.#add("MatMul", name, [a, b], [...a.shape.slice(0, -1), b.shape.at(-1)!]);
  }

  softmax(name: string, input: Value): Value {
    return this.#each("Softmax", name, input, { axis: -1 });
  }

  /** A weight [1, ...shape] once for every image of a batch. */
  repeated(name: string, weight: string, shape: readonly number[]): Value {
    const sizes = this.#nodes.add("Shape", `${name}.sizes`, [this.images.name], { start: 0, end: 1 });
    const rest = this.#nodes.integers(`${name}.rest`, shape);
    const target = this.#nodes.add("Concat", `${name}.target`, [sizes, rest], { axis: 0 });
    return this.#add("Expand", name, [weight, target], shape);
  }

  /** What was built, up to its logits. */
  model(file: string, logits: Value): OnnxModel {
    const shapes = [...this.#shapes];
    // Shapes only: weights are the run's. One array of zeros stands for all of them.
    const zeros = new Float32Array(Math.max(...shapes.map(([, shape]) => sizeOf(shape))));
    const tensors = shapes.map(([name, shape]): [string, HostTensor] => [
      name,
      float32Tensor(shape, zeros.subarray(0, sizeOf(shape))),
    ]);
    const nodes = this.#nodes.nodes.map((node) =>
      node.outputs[0] === logits.name ? { ...node, outputs: [LOGITS] } : node
    );
    return {
      file,
      opset: OPSET,
      nodes,
      initialisers: new Map([...tensors, ...this.#nodes.constants]),
      input: { name: IMAGES, shape: [undefined, ...this.images.shape] },
      output: LOGITS,
      outputShape: [undefined, ...logits.shape],
    };
  }
}

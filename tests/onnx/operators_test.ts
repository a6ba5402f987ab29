/**
 * Attributes of single operators against ONNX Runtime: what PyTorch's exports of the other tests leave at their defaults.
 *
 * @module
 */

import { assert } from "@std/assert";
import { onnxNetwork } from "../../lib/onnx/network.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";
import { gpuTests } from "../gpu/harness.ts";
import { hashedValues } from "../reference/hashed.ts";
import { nchwToNhwc } from "../reference/layout.ts";
import { tensor } from "../reference/tensor.ts";
import { distance, runNetwork } from "./compare.ts";
import { runOnnx } from "./runtime.ts";
import { assertSlopes } from "./slopes.ts";
import {
  CLASSES,
  encode,
  FLOAT,
  imageInput,
  type Initialiser,
  integers,
  type Model,
  type ModelNode,
  node,
  STORES,
} from "./small_model.ts";

const gpuTest = gpuTests();
const COUNT = 2, SIDE = 8;

/** Nodes from `images` [2, 3, 8, 8] to `y`, and how many elements an image leaves there. */
interface Case {
  readonly nodes: readonly ModelNode[];
  readonly features: number;
  readonly tensors?: readonly Initialiser[];
  readonly opset?: number;
  /** In training it is another function, so that ONNX Runtime has no slopes of it. */
  readonly batchStatistics?: boolean;
  /** It takes maxima of neighbours that are near to each other. */
  readonly kinked?: boolean;
}

/** Hashed float values, of each name its own. */
function floats(name: string, dims: number[], scale = 1, offset = 0): Initialiser {
  const size = dims.reduce((a, b) => a * b, 1);
  const stream = [...name].reduce((sum, letter) => (31 * sum + letter.codePointAt(0)!) % 90_000, 0);
  return STORES.raw(name, dims, hashedValues(7_300_000 + stream, size, scale, offset));
}

/** A stored number. */
const scalar = (name: string, value: number): Initialiser => STORES.typed(name, [], Float32Array.of(value));

/** The same operator with strings among its attributes. */
function withStrings(operation: ModelNode, strings: Readonly<Record<string, string>>): ModelNode {
  const texts = Object.entries(strings).map(([name, text]) => ({ name, type: 3, s: new TextEncoder().encode(text) }));
  return { ...operation, attribute: [...operation.attribute ?? [], ...texts] };
}

/** One operator on the images. */
function single(
  operator: string,
  features: number,
  attributes: Readonly<Record<string, number | readonly number[]>> = {},
  tensors: readonly Initialiser[] = [],
  opset?: number,
): Case {
  const inputs = ["images", ...tensors.map(({ name }) => name!)];
  return { nodes: [node(operator, inputs, ["y"], attributes)], features, tensors, opset };
}

/** Softmax of opset 11 over many elements: of the images as they are it gives nearly the same everywhere. */
function sharpSoftmax(attributes: Readonly<Record<string, number>>): Case {
  return {
    nodes: [
      node("Mul", ["images", "few"], ["sharp"]),
      node("Softmax", ["sharp"], ["part"], attributes),
      node("Mul", ["part", "many"], ["y"]),
    ],
    features: 192,
    tensors: [scalar("few", 3), scalar("many", 100)],
    opset: 11,
  };
}

/** Resizing to sizes, or by scales. */
function resized(strings: Readonly<Record<string, string>>, by: "sizes" | "scales", values: readonly number[]): Case {
  const list = by === "sizes"
    ? integers("list", [COUNT, 3, ...values])
    : STORES.typed("list", [4], Float32Array.of(1, 1, ...values));
  const inputs = by === "sizes" ? ["images", "", "", "list"] : ["images", "", "list"];
  const [h, w] = by === "sizes" ? values : values.map((scale) => Math.floor(SIDE * scale));
  return { nodes: [withStrings(node("Resize", inputs, ["y"]), strings)], features: 3 * h * w, tensors: [list] };
}

/** A window with automatic padding. */
function automatic(operator: string, how: string, stride: number, tensors: readonly Initialiser[] = []): Case {
  const inputs = ["images", ...tensors.map(({ name }) => name!)];
  const operation = node(operator, inputs, ["y"], { kernel_shape: [3, 3], strides: [stride, stride] });
  const side = how === "VALID" ? Math.floor((SIDE - 3) / stride) + 1 : Math.ceil(SIDE / stride);
  const channels = operator === "Conv" ? 5 : 3;
  return { nodes: [withStrings(operation, { auto_pad: how })], features: channels * side * side, tensors };
}

const KERNEL = floats("kernel", [5, 3, 3, 3]);
const flat = node("Flatten", ["images"], ["rows"]);

const CASES: Readonly<Record<string, Case>> = {
  "Conv SAME_UPPER, stride 2": automatic("Conv", "SAME_UPPER", 2, [KERNEL]),
  "Conv SAME_LOWER, stride 2": automatic("Conv", "SAME_LOWER", 2, [KERNEL]),
  "Conv VALID": automatic("Conv", "VALID", 1, [KERNEL]),
  "Conv with four different pads": single("Conv", 5 * 9 * 9, { pads: [0, 1, 3, 2] }, [KERNEL]),
  "Conv of a kernel 1x7, dilated": single("Conv", 4 * 8 * 6, { dilations: [2, 2], pads: [0, 5, 0, 5] }, [
    floats("kernel", [4, 3, 1, 7]),
    floats("bias", [4]),
  ]),
  "ConvTranspose in groups, padded": single("ConvTranspose", 6 * 15 * 15, {
    group: 3,
    strides: [2, 2],
    pads: [1, 1, 1, 1],
  }, [floats("kernel", [3, 2, 3, 3]), floats("bias", [6])]),
  "MaxPool dilated, ceil_mode": single("MaxPool", 3 * 2 * 2, {
    kernel_shape: [3, 3],
    strides: [3, 3],
    dilations: [2, 2],
    ceil_mode: 1,
  }),
  "MaxPool with uneven pads, of negative numbers": {
    nodes: [
      node("Sub", ["images", "two"], ["negative"]),
      node("MaxPool", ["negative"], ["y"], { kernel_shape: [3, 3], strides: [2, 2], pads: [0, 1, 2, 1] }),
    ],
    features: 3 * 4 * 4,
    tensors: [scalar("two", 2)],
    kinked: true,
  },
  "MaxPool SAME_UPPER, stride 2": { ...automatic("MaxPool", "SAME_UPPER", 2), kinked: true },
  "AveragePool SAME_UPPER, stride 1, even sides": automatic("AveragePool", "SAME_UPPER", 1),
  "AveragePool with uneven pads that count": single("AveragePool", 3 * 8 * 8, {
    kernel_shape: [3, 3],
    pads: [0, 0, 2, 2],
    count_include_pad: 1,
  }),
  "Gemm with alpha, beta, a bias of one row and an untransposed weight": {
    nodes: [flat, node("Gemm", ["rows", "weight", "bias"], ["y"], { alpha: 0.25, beta: 1.5 })],
    features: 7,
    tensors: [floats("weight", [192, 7]), floats("bias", [1, 7])],
  },
  "Gemm of a transposed first input, with alpha": {
    nodes: [
      flat,
      node("Transpose", ["rows"], ["columns"], { perm: [1, 0] }),
      node("Gemm", ["columns", "weight", "bias"], ["y"], { transA: 1, transB: 1, alpha: 0.5 }),
    ],
    features: 7,
    tensors: [floats("weight", [7, 192]), floats("bias", [7])],
  },
  "MatMul of three axes by a stack of matrices": {
    nodes: [node("MatMul", ["images", "stack"], ["y"])],
    features: 3 * 8 * 5,
    tensors: [floats("stack", [3, 8, 5])],
  },
  "MatMul of the images by themselves, transposed": {
    nodes: [
      node("Transpose", ["images"], ["turned"], { perm: [0, 1, 3, 2] }),
      node("MatMul", ["images", "turned"], ["y"]),
    ],
    features: 192,
  },
  "Sub and Div of numbers and constants": {
    nodes: [
      node("Sub", ["one", "images"], ["negative"]),
      node("Div", ["one", "positive"], ["part"]),
      node("Mul", ["negative", "part"], ["y"]),
    ],
    features: 192,
    tensors: [scalar("one", 2), floats("positive", [8, 1], 0.2, 2)],
  },
  "Div of a number by the images' sigmoid": {
    nodes: [node("Sigmoid", ["images"], ["s"]), node("Div", ["part", "s"], ["y"])],
    features: 192,
    tensors: [scalar("part", 0.75)],
  },
  "LeakyRelu, HardSigmoid and Clip with their own numbers": {
    nodes: [
      node("LeakyRelu", ["images"], ["a"], { alpha: 0.375 }),
      node("HardSigmoid", ["a"], ["b"], { alpha: 0.625, beta: 0.25 }),
      node("Clip", ["b", "", "most"], ["y"]),
    ],
    features: 192,
    tensors: [scalar("most", 0.75)],
  },
  "Softmax over channels": single("Softmax", 192, { axis: 1 }),
  "Softmax of opset 11, over all axes from the second": sharpSoftmax({ axis: 1 }),
  "Softmax of opset 11 by default": sharpSoftmax({}),
  "LayerNormalization over three axes": single("LayerNormalization", 192, { axis: -3, epsilon: 0.125 }, [
    floats("scale", [3, 8, 8]),
    floats("shift", [3, 8, 8]),
  ], 17),
  "LayerNormalization without a bias": single("LayerNormalization", 192, {}, [floats("scale", [8])], 17),
  "BatchNormalization with its own epsilon": {
    ...single("BatchNormalization", 192, { epsilon: 0.25 }, [
      floats("scale", [3]),
      floats("shift", [3], 0.5),
      floats("mean", [3], 0.25),
      floats("variance", [3], 0.25, 1),
    ]),
    batchStatistics: true,
  },
  "ReduceMean over channels, axes left out": single("ReduceMean", 64, { axes: [1], keepdims: 0 }),
  "ReduceMean over rows and columns, kept": single("ReduceMean", 3, { axes: [-1, 2], keepdims: 1 }),
  "ReduceSum with axes as an input, without": single("ReduceSum", 24, { keepdims: 0 }, [integers("axes", [2])]),
  "ReduceSum that does nothing without axes": single("ReduceSum", 192, { "noop_with_empty_axes": 1 }, [
    integers("axes", []),
  ]),
  "Slice backwards with steps": single("Slice", 3 * 3 * 8, {}, [
    integers("starts", [-1, 2]),
    integers("ends", [-9, -9]),
    integers("axes", [-2, 1]),
    integers("steps", [-3, -1]),
  ]),
  "Split into unequal parts, joined in another order": {
    nodes: [
      node("Split", ["images", "sizes"], ["a", "b"], { axis: -1 }),
      node("Concat", ["b", "a", "b"], ["y"], { axis: 3 }),
    ],
    features: 3 * 8 * 13,
    tensors: [integers("sizes", [3, 5])],
  },
  "Split of opset 18 into a number of parts": {
    nodes: [
      node("Split", ["images"], ["a", "b", "c"], { axis: 3, num_outputs: 3 }),
      node("Concat", ["c", "a"], ["y"], { axis: 3 }),
    ],
    features: 3 * 8 * 5,
    opset: 18,
  },
  "Pad with a value, and crop": single("Pad", 3 * 9 * 6, {}, [
    integers("amounts", [0, 0, 2, -1, 0, 0, -1, -1]),
    scalar("value", 0.5),
  ]),
  "Pad of opset 18 along given axes": single("Pad", 3 * 8 * 11, {}, [
    integers("amounts", [1, 2]),
    scalar("value", -1),
    integers("axes", [3]),
  ], 18),
  "Reshape with 0 and -1 after a transpose": {
    nodes: [
      node("Transpose", ["images"], ["turned"], { perm: [0, 3, 1, 2] }),
      node("Reshape", ["turned", "shape"], ["y"]),
    ],
    features: 192,
    tensors: [integers("shape", [0, 4, -1])],
  },
  "Flatten at a negative axis": {
    nodes: [node("Flatten", ["images"], ["rows"], { axis: -2 }), node("Reshape", ["rows", "shape"], ["y"])],
    features: 192,
    tensors: [integers("shape", [2, -1])],
  },
  "Unsqueeze and Squeeze around a transpose": {
    nodes: [
      node("Unsqueeze", ["images", "outer"], ["wide"]),
      node("Transpose", ["wide"], ["turned"], { perm: [0, 3, 2, 4, 1, 5] }),
      node("Squeeze", ["turned", "inner"], ["y"]),
    ],
    features: 192,
    tensors: [integers("outer", [-2, 1]), integers("inner", [-2])],
  },
  "Unsqueeze and Squeeze of opset 11, all axes of size 1": {
    nodes: [
      node("Transpose", ["images"], ["turned"], { perm: [0, 2, 3, 1] }),
      node("Unsqueeze", ["turned"], ["wide"], { axes: [4, 1] }),
      node("Squeeze", ["wide"], ["narrow"]),
      node("Split", ["narrow"], ["a", "b"], { axis: 1 }),
      node("Concat", ["b", "a"], ["y"], { axis: 2 }),
    ],
    features: 192,
    opset: 11,
  },
  "Gather of columns by a table of two axes, from the end": single("Gather", 3 * 8 * 6, { axis: 3 }, [
    integers("table", [0, -1, 7, 3, 3, 1], [2, 3]),
  ]),
  "Expand and Where with axes that meet": {
    nodes: [
      node("ReduceMean", ["images"], ["means"], { axes: [2], keepdims: 1 }),
      node("Expand", ["means", "shape"], ["wide"]),
      node("Less", ["ramp", "four"], ["condition"]),
      node("Where", ["condition", "wide", "images"], ["y"]),
    ],
    features: 192,
    tensors: [integers("shape", [1, 1, 8, 1]), integers("ramp", [7, 1, 5, 3, 2, 9, 4, 0]), integers("four", [4], [])],
  },
  "Pow, Sqrt, Reciprocal, Exp, Erf and Tanh in a row": {
    nodes: [
      node("Pow", ["images", "two"], ["a"]),
      node("Exp", ["a"], ["b"]),
      node("Sqrt", ["b"], ["c"]),
      node("Reciprocal", ["c"], ["d"]),
      node("Erf", ["d"], ["e"]),
      node("Neg", ["e"], ["f"]),
      node("Tanh", ["f"], ["y"]),
    ],
    features: 192,
    tensors: [scalar("two", 2)],
  },
  "Pow of negative numbers by whole exponents": {
    nodes: [
      ...[-2, -1, 0, 17, 18].flatMap((exponent, i) => [
        node("Pow", ["images", `exponent${exponent}`], [`power${i}`]),
        node("Tanh", [`power${i}`], [`bounded${i}`]),
      ]),
      node("Concat", Array.from({ length: 5 }, (_, i) => `bounded${i}`), ["y"], { axis: 1 }),
    ],
    features: 15 * 64,
    tensors: [-2, -1, 0, 17, 18].map((exponent) => scalar(`exponent${exponent}`, exponent)),
  },
  "Resize linear, half_pixel": resized({ mode: "linear" }, "sizes", [11, 5]),
  "Resize linear by scales, asymmetric": resized(
    { mode: "linear", coordinate_transformation_mode: "asymmetric" },
    "scales",
    [1.5, 2],
  ),
  "Resize nearest, round_prefer_ceil": resized({ mode: "nearest", nearest_mode: "round_prefer_ceil" }, "sizes", [
    12,
    3,
  ]),
  "Resize nearest, ceil, align_corners": resized(
    { mode: "nearest", nearest_mode: "ceil", coordinate_transformation_mode: "align_corners" },
    "sizes",
    [5, 13],
  ),
  "Resize cubic, pytorch_half_pixel, to one row": resized(
    { mode: "cubic", coordinate_transformation_mode: "pytorch_half_pixel" },
    "sizes",
    [1, 11],
  ),
};

/** A classifier whose features are what the case makes of images that a weight scales pixel by pixel. */
function modelOf({ nodes, features, tensors = [], opset = 14 }: Case): Model {
  return {
    irVersion: 8,
    opsetImport: [{ domain: "", version: opset }],
    graph: {
      name: "single",
      input: [{ ...imageInput([COUNT, 3, SIDE, SIDE]), name: "input" }],
      output: [{
        name: "logits",
        type: { tensorType: { elemType: FLOAT, shape: { dim: [{ dimValue: COUNT }, { dimValue: CLASSES }] } } },
      }],
      initializer: [
        floats("pixels", [3, SIDE, SIDE], 0.25, 1),
        ...tensors,
        floats("fc.weight", [CLASSES, features], Math.sqrt(1 / features)),
        floats("fc.bias", [CLASSES]),
      ],
      node: [
        node("Mul", ["input", "pixels"], ["images"]),
        ...nodes,
        node("Flatten", ["y"], ["features"], { axis: 1 }),
        node("Gemm", ["features", "fc.weight", "fc.bias"], ["logits"], { transB: 1 }),
      ],
    },
  };
}

for (const [name, each] of Object.entries(CASES)) {
  gpuTest(`an imported network computes what ONNX Runtime does, and its slopes: ${name}`, async (gpu) => {
    const bytes = encode(modelOf(each)), shape = [COUNT, 3, SIDE, SIDE];
    const images = hashedValues(7_200_000, COUNT * 3 * SIDE * SIDE, 1), labels = Uint32Array.of(1, 3);
    const network = onnxNetwork(await readOnnxModel(bytes, name));
    const { evalLogits, gradients } = await runNetwork(gpu, network, {
      images: nchwToNhwc(tensor(shape, images)),
      labels,
    });
    const error = distance(evalLogits, (await runOnnx(bytes, images, shape)).data);
    assert(error < 1e-5, `the logits differ by ${error}`);
    if (each.batchStatistics) return;
    await assertSlopes(bytes, gradients, { images, shape, labels }, { kinked: each.kinked });
  });
}

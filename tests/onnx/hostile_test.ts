/**
 * Damaged and hostile ONNX files: each is refused with one clear line, at once, without much memory.
 *
 * @module
 */

import { assert, assertStringIncludes } from "@std/assert";
import { PhiloxSequence } from "../../lib/random/philox.ts";
import { readGraph, readOnnxFixture } from "../fixtures/onnx_model.ts";
import { assertClear, changed, consume, refusal, tensorOf } from "./hostile.ts";
import { CHANNELS, encode, FLOAT, integers, type ModelGraph, node, smallModel } from "./small_model.ts";

Deno.test("readOnnxModel() reads the model that the hostile ones are made from", async () => {
  await consume(encode(smallModel()));
});

const GRAPHS: Readonly<Record<string, readonly [(graph: ModelGraph) => void, string]>> = {
  "a cycle": [
    (graph) => graph.node![2].input = ["same"],
    "is part of a cycle through",
  ],
  "a node that reads itself": [
    (graph) => graph.node![2].input = ["relu"],
    "the Relu node node_relu is part of a cycle through relu",
  ],
  "a missing initialiser": [
    (graph) => graph.initializer = graph.initializer!.filter(({ name }) => name !== "conv.weight"),
    "the Conv node node_conv reads conv.weight, which no node, input or initialiser gives",
  ],
  "a value that two nodes give": [
    (graph) => graph.node!.push(node("Relu", ["conv"], ["bn"])),
    "the Relu node node_bn gives bn, which something else gives as well",
  ],
  "a node that gives an initialiser": [
    (graph) => graph.node!.push(node("Relu", ["conv"], ["fc.weight"])),
    "gives fc.weight, which something else gives as well",
  ],
  "two initialisers of one name": [
    (graph) => graph.initializer!.push(tensorOf(graph, "fc.bias")),
    "it holds two initialisers named fc.bias",
  ],
  "two attributes of one name": [
    (graph) => graph.node![0].attribute!.push(graph.node![0].attribute![0]),
    "the Conv node node_conv has two attributes pads",
  ],
  "no output": [(graph) => graph.output = [], "no node gives the output"],
  "an output that nothing gives": [(graph) => graph.output = [{ name: "nobody" }], "no node gives the output nobody"],
  "a shape of 2^40 elements": [
    (graph) => tensorOf(graph, "conv.weight").dims = [2 ** 20, 2 ** 10, 2 ** 10, 1],
    "needs 1099511627776 elements, but has 432 bytes",
  ],
  "a shape past 2^53 elements": [
    (graph) => tensorOf(graph, "conv.weight").dims = [2 ** 40, 2 ** 40],
    "no tensor is so large",
  ],
  "a negative size": [
    (graph) => tensorOf(graph, "conv.weight").dims = [-4, 3, 3, 3],
    "the initialiser conv.weight has the shape [-4,3,3,3]",
  ],
  "too few bytes": [
    (graph) => tensorOf(graph, "conv.weight").rawData = new Uint8Array(428),
    "needs 108 elements, but has 428 bytes",
  ],
  "too many bytes": [
    (graph) => tensorOf(graph, "conv.weight").rawData = new Uint8Array(436),
    "needs 108 elements, but has 436 bytes",
  ],
  "an unknown element type": [
    (graph) => tensorOf(graph, "conv.weight").dataType = 99,
    "the initialiser conv.weight is of ONNX type 99, which cannot be read",
  ],
  "a weight of another rank": [
    (graph) => tensorOf(graph, "conv.weight").dims = [108],
    "the Conv node node_conv of FILE: an operand has the shape [108]; one of 4 axes is required",
  ],
  "strides of one axis": [
    (graph) => graph.node![0].attribute!.push({ name: "strides", type: 7, ints: [0] }),
    "the Conv node node_conv of FILE: its strides are [0]; two are required",
  ],
  "pads of two numbers": [
    (graph) => graph.node![0].attribute![0].ints = [1, 1],
    "its pads are [1,1]; four are required",
  ],
  "padding of three amounts": [
    (graph) => {
      graph.initializer!.push(integers("amounts", [0, 1, 2]));
      graph.node!.push(node("Pad", ["conv", "amounts"], ["bn2"]));
      graph.node![2].input = ["bn2"];
    },
    "it states 3 amounts for the axes 0,1,2,3; two for each axis are required",
  ],
  "a slice with more starts than ends": [
    (graph) => {
      graph.initializer!.push(integers("starts", [0, 1]), integers("ends", [2]));
      graph.node!.push(node("Slice", ["conv", "starts", "ends"], ["bn2"]));
      graph.node![2].input = ["bn2"];
    },
    "it states starts [0,1], ends [2], axes [0,1] and steps [1,1]; as many of each are required",
  ],
  "uneven pads under ceil_mode": [
    (graph) => {
      graph.node!.push(
        node("MaxPool", ["conv"], ["bn2"], { "kernel_shape": [3, 3], pads: [0, 0, 1, 1], "ceil_mode": 1 }),
      );
      graph.node![2].input = ["bn2"];
    },
    "its padding is [0,0,1,1] under ceil_mode; equal sides are supported there",
  ],
  "an attribute that is a graph": [
    (graph) => graph.node![2].attribute = [{ name: "alpha", type: 5, g: {} }],
    "the Relu node node_relu of FILE: its attribute alpha is not supported",
  ],
  "a number that is a graph": [
    (graph) => {
      graph.node![2].opType = "LeakyRelu";
      graph.node![2].attribute = [{ name: "alpha", type: 5, g: {} }];
    },
    "its attribute alpha is of type 5; numbers, strings and tensors can be read",
  ],
  "a slice of one axis twice": [
    (graph) => {
      graph.initializer!.push(integers("starts", [1, 2]), integers("ends", [7, 6]), integers("axes", [2, -2]));
      graph.node!.push(node("Slice", ["conv", "starts", "ends", "axes"], ["bn2"]));
      graph.node![2].input = ["bn2"];
    },
    "the Slice node node_bn2 of FILE: its axes [2,-2] name one axis twice",
  ],
  "updates of fewer elements than places": [
    (graph) => {
      graph.initializer!.push(integers("table", [1, 2, 3]), integers("places", [0, 1], [2, 1]), integers("few", [7]));
      graph.node!.push(node("ScatterND", ["table", "places", "few"], ["t"]), node("Add", ["conv", "t"], ["bn2"]));
      graph.node![2].input = ["bn2"];
    },
    "it puts [1] at [2,1] of [3]; [2] is required",
  ],
  "a kernel_shape that is not the weight's": [
    (graph) => graph.node![0].attribute![1].ints = [3, 1],
    "its kernel_shape is [3,1], but its weight has the shape [4,3,3,3]",
  ],
  "an operator without operands": [
    (graph) => graph.node![2] = node("Max", [], ["relu"]),
    "the Max node node_relu of FILE: input 0 is missing",
  ],
  "a comparison of one number": [
    (graph) => {
      graph.node!.push(node("Less", ["zero"], ["less"]), node("Add", ["conv", "less"], ["bn2"]));
      graph.node![2].input = ["bn2"];
    },
    "the Less node node_less of FILE: input 1 is missing",
  ],
  "an operand too many": [
    (graph) => graph.node![2].input!.push("conv"),
    "the Relu node node_relu of FILE: its input 1 is not supported",
  ],
  "a concatenation along no axis": [
    (graph) => graph.node![4].attribute = [],
    "the Concat node node_joined of FILE: its attribute axis is missing",
  ],
  "a cast to text": [
    (graph) => graph.node![2] = node("Cast", ["bn"], ["relu"], { to: 8 }),
    "it makes ONNX type 8; a type of numbers is required",
  ],
  "a range from two numbers": [
    (graph) => {
      graph.initializer!.push(integers("pair", [0, 1]));
      graph.node!.push(node("Range", ["pair", "zero", "zero"], ["range"]), node("Add", ["conv", "range"], ["bn2"]));
      graph.node![2].input = ["bn2"];
    },
    "the Range node node_range of FILE: input 0 has the shape [2]; one number is required",
  ],
  "a constant without its number": [
    (graph) => {
      const zeros = node("ConstantOfShape", ["zero"], ["zeros"]);
      zeros.attribute = [{ name: "value", type: 4, t: { dataType: FLOAT, dims: [0] } }];
      graph.node!.push(zeros, node("Add", ["conv", "zeros"], ["bn2"]));
      graph.node![2].input = ["bn2"];
    },
    "its value has the shape [0]; one number is required",
  ],
  "a resize to 2^31 pixels": [
    (graph) => {
      graph.initializer!.push(integers("pixels", [1, CHANNELS, 2 ** 31, 1]));
      graph.node!.push(node("Resize", ["conv", "", "", "pixels"], ["bn2"]));
      graph.node![2].input = ["bn2"];
    },
    "it makes a side of 2147483648 pixels; at most 65536 are possible",
  ],
  "a name that clears the screen": [
    (graph) => graph.node![2].name = "\x1b[2J\n",
    'it holds the name "\\u001b[2J\\n"; names without control characters are required',
  ],
  "an image of absurd size": [
    (graph) => graph.input![0].type!.tensorType!.shape!.dim![2].dimValue = 2 ** 40,
    "its input images has a size of 1099511627776",
  ],
  "a constant of 2^40 elements": [
    (graph) => {
      graph.initializer!.push(integers("huge", [2 ** 20, 2 ** 20]));
      graph.node!.push(node("ConstantOfShape", ["huge"], ["zeros"]), node("Add", ["conv", "zeros"], ["bn2"]));
      graph.node![2].input = ["bn2"];
    },
    "a constant of shape [1048576,1048576] has more than 16777216 elements",
  ],
  "a range of 10^15 numbers": [
    (graph) => {
      graph.initializer!.push(integers("start", [0], []), integers("limit", [1e15], []), integers("step", [1], []));
      graph.node!.push(
        node("Range", ["start", "limit", "step"], ["numbers"]),
        node("Add", ["conv", "numbers"], ["bn2"]),
      );
      graph.node![2].input = ["bn2"];
    },
    "has more than 16777216 elements",
  ],
  "many constants of 128 MiB": [
    (graph) => {
      graph.initializer!.push(integers("large", [2 ** 24]));
      for (let i = 0; i < 100; i++) {
        graph.node!.push(node("ConstantOfShape", ["large"], [`zeros${i}`]));
      }
      graph.node!.push(node("Concat", Array.from({ length: 100 }, (_, i) => `zeros${i}`), ["all"], { axis: 0 }));
      graph.node!.push(node("Add", ["all", "conv"], ["bn2"]));
      graph.node![2].input = ["bn2"];
    },
    "the constants up to here have more than 67108864 elements together",
  ],
  "an expansion to 2^60 elements": [
    (graph) => {
      graph.initializer!.push(integers("huge", [2 ** 20, CHANNELS, 2 ** 20, 2 ** 20]));
      graph.node!.push(node("Expand", ["conv", "huge"], ["bn2"]));
      graph.node![2].input = ["bn2"];
    },
    "Cannot import the Expand node node_bn2 of FILE",
  ],
  "200,000 nodes": [
    (graph) => {
      for (let i = 0; i < 200_000; i++) graph.node!.push(node("Identity", [i ? `copy${i - 1}` : "conv"], [`copy${i}`]));
    },
    "nodes; at most 32768 can be imported",
  ],
  "a chain of 30,000 copies of a weight": [
    (graph) => {
      // Two names: separate copies of stored tensors are initialisers of their own.
      for (let i = 0; i < 30_000; i++) {
        graph.node!.push(node("Identity", [i ? `onnx::${i - 1}` : "fc.weight"], [`onnx::${i}`]));
      }
      graph.node!.find(({ opType }) => opType === "Gemm")!.input![1] = "onnx::29999";
    },
    "Cannot ",
  ],
};

for (const [name, [change, message]] of Object.entries(GRAPHS)) {
  Deno.test(`readOnnxModel() and buildOnnx() refuse ${name}`, async () => {
    const start = performance.now(), before = Deno.memoryUsage().rss;
    assertStringIncludes(await refusal(changed(change)), message);
    // The bound on constants is 512 MiB; what else a file of some kilobytes asks for is far less.
    assert(Deno.memoryUsage().rss - before < 900 * 2 ** 20);
    assert(performance.now() - start < 10_000);
  });
}

Deno.test("readOnnxModel() refuses a file cut short anywhere", async () => {
  const whole = encode(smallModel());
  const random = new PhiloxSequence(3, 1);
  for (let i = 0; i < 100; i++) await refusal(whole.slice(0, Math.floor(random.uniform() * (whole.length - 1))));
});

Deno.test("readOnnxModel() refuses what is no ONNX file", async () => {
  const text = new TextEncoder().encode("<!doctype html><html></html>");
  for (const bytes of [new Uint8Array(), new Uint8Array(1000), new Uint8Array(1000).fill(0xff), text]) {
    await refusal(bytes);
  }
});

Deno.test("readOnnxModel() refuses graphs in graphs without end", async () => {
  // An attribute that holds a graph whose node has an attribute that holds a graph ...
  let bytes: number[] = [];
  const field = (number: number, content: readonly number[]) => {
    const length: number[] = [];
    for (let n = content.length;; n >>= 7) {
      length.push(n > 127 ? (n & 127) | 128 : n);
      if (n <= 127) break;
    }
    return [number << 3 | 2, ...length, ...content];
  };
  for (let depth = 0; depth < 2000; depth++) bytes = field(6, field(1, field(5, bytes)));
  await refusal(Uint8Array.from(field(7, field(1, field(5, bytes)))));
});

/** Flips bytes among the first `region` of a file, and asserts that it is read or refused clearly; counts refusals. */
async function flip(whole: Uint8Array, region: number, times: number, seed: number, size: number): Promise<number> {
  const random = new PhiloxSequence(seed, 2);
  let refused = 0;
  for (let i = 0; i < times; i++) {
    const bytes = whole.slice();
    for (let flips = 1 + Math.floor(random.uniform() * 3); flips > 0; flips--) {
      bytes[Math.floor(random.uniform() * region)] ^= 1 + Math.floor(random.uniform() * 255);
    }
    try {
      await consume(bytes, size);
    } catch (error) {
      refused++;
      assertClear(error);
    }
  }
  return refused;
}

Deno.test("a file with random bytes flipped is read or refused clearly", async () => {
  const small = encode(smallModel());
  assert(await flip(small, small.length, 3000, 11, 8) > 1000);
  for (const name of ["functional", "mobilenet", "convnext"]) {
    const { bytes, size } = await readOnnxFixture(name);
    // The nodes come first and the weights, whose bytes may be any, behind them.
    assert(await flip(bytes, (await readGraph(name)).length, 100, 12, size) > 50);
  }
});

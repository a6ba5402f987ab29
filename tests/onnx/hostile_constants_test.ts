/**
 * Small files that ask for large constants, or for endless work on them: each is refused at once, without much memory.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Graph } from "../../lib/graph/graph.ts";
import { buildOnnx, onnxNetwork } from "../../lib/onnx/network.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";
import { changed, refusal } from "./hostile.ts";
import { CHANNELS, CLASSES, encode, type Initialiser, integers, type ModelNode, node, STORES } from "./small_model.ts";

/** What is added to the small model, whose BatchNorm then reads what the last node gives. */
interface Addition {
  readonly tensors: readonly Initialiser[];
  readonly nodes: readonly ModelNode[];
  readonly message: string;
}

const one = integers("one", [1]);
/** 2^24 zeros, as many as one constant may have. */
const large = [integers("length", [1, 2 ** 24])] as const;
const zeros = node("ConstantOfShape", ["length"], ["zeros"]);

const ADDITIONS: Readonly<Record<string, Addition>> = {
  "a padding of a constant by 2^29": {
    tensors: [one, integers("pads", [0, 2 ** 29])],
    nodes: [node("Pad", ["one", "pads"], ["bad"])],
    message: "a constant of shape [536870913] has more than 16777216 elements",
  },
  "a padding of a constant by 2^33": {
    tensors: [one, integers("pads", [2 ** 33, 0])],
    nodes: [node("Pad", ["one", "pads"], ["bad"])],
    message: "a constant of shape [8589934593] has more than 16777216 elements",
  },
  "32 times the same 128 MiB": {
    tensors: [...large, integers("rows", Array(32).fill(0))],
    nodes: [zeros, node("Gather", ["zeros", "rows"], ["bad"], { axis: 0 })],
    message: "a constant of shape [32,16777216] has more than 16777216 elements",
  },
  "a concatenation of 2^50 rows of nothing": {
    tensors: [integers("length", [2 ** 50, 0])],
    nodes: [zeros, node("Concat", ["zeros", "zeros"], ["bad"], { axis: 1 })],
    message: "a constant of shape [1125899906842624,0] has more than 16777216 elements",
  },
  "sizes for a million axes": {
    tensors: [integers("length", [2 ** 20]), one],
    nodes: [
      node("ConstantOfShape", ["length"], ["zeros"]),
      node("Equal", ["zeros", "zeros"], ["ones"]),
      node("Cast", ["ones"], ["target"], { to: 7 }),
      node("Reshape", ["one", "target"], ["bad"]),
    ],
    message: "its input 1 lists 1048576 numbers; at most 65536 are possible",
  },
  "a tensor of 1,000 axes": {
    tensors: [integers("target", Array(1000).fill(1)), one],
    nodes: [node("Reshape", ["one", "target"], ["bad"])],
    message: "it makes a tensor of 1000 axes; at most 64 are possible",
  },
  "a thousand operands that are repeated to 128 MiB each": {
    tensors: [...large, one],
    nodes: [zeros, node("Max", ["zeros", ...Array(1000).fill("one")], ["bad"])],
    message: "1001 operands of shape [1,16777216] have more than 67108864 elements together",
  },
  "a thousand readers of 128 MiB on the host": {
    tensors: [...large, integers("axis", [0])],
    nodes: [
      zeros,
      ...Array.from({ length: 1000 }, (_, i) => node("Shape", ["zeros"], [`shape${i}`])),
      node("Concat", Array.from({ length: 1000 }, (_, i) => `shape${i}`), ["bad"], { axis: 0 }),
    ],
    message: "the nodes up to here read more than 268435456 elements of constants",
  },
  "lines of an axis of 2^24": {
    tensors: [integers("broad", [2, 4, 8, 2 ** 24]), integers("rows", [0, 1])],
    nodes: [
      node("ReduceMean", ["conv"], ["slim"], { axes: [3], keepdims: 1 }),
      node("Expand", ["slim", "broad"], ["expanded"]),
      node("Gather", ["expanded", "rows"], ["bad"], { axis: 3 }),
    ],
    message: "it gathers 2 lines of an axis of 16777216; at most 4194304 together are possible",
  },
  "a resize of an axis of 2^24": {
    tensors: [integers("broad", [2, 4, 8, 2 ** 24]), integers("target", [2, 4, 8, 8])],
    nodes: [
      node("ReduceMean", ["conv"], ["slim"], { axes: [3], keepdims: 1 }),
      node("Expand", ["slim", "broad"], ["expanded"]),
      node("Resize", ["expanded", "", "", "target"], ["bad"]),
    ],
    message: "it resizes a side of 16777216 pixels; at most 65536 are possible",
  },
  "twenty constants of 16 MiB for the device": {
    tensors: [integers("length", [1, 4, 2 ** 10, 2 ** 10]), integers("broad", [2, 4, 2 ** 10, 2 ** 10])],
    nodes: [
      zeros,
      node("ReduceMean", ["conv"], ["centre"], { axes: [2, 3], keepdims: 1 }),
      node("Expand", ["centre", "broad"], ["link"]),
      // Each Where has a table of its own.
      ...Array.from(
        { length: 20 },
        (_, i) => node("Where", ["zeros", i ? `bad${i - 1}` : "link", "link"], [`bad${i}`]),
      ),
    ],
    message: "the constants for the device up to here have more than 67108864 elements together",
  },
};

for (const [name, { tensors, nodes, message }] of Object.entries(ADDITIONS)) {
  Deno.test(`buildOnnx() refuses ${name}`, async () => {
    const last = nodes[nodes.length - 1].output![0];
    const model = changed((graph) => {
      graph.initializer!.push(...tensors);
      graph.node!.push(...nodes, node("Add", ["conv", last], ["sum"]));
      graph.node![1].input![0] = "sum";
    });
    const start = performance.now(), before = Deno.memoryUsage().rss;
    assertStringIncludes(await refusal(model), message);
    assert(Deno.memoryUsage().rss - before < 900 * 2 ** 20);
    assert(performance.now() - start < 10_000);
  });
}

Deno.test("buildOnnx() puts a constant on the device once, however many nodes read it", async () => {
  const values = new Float32Array(CHANNELS * 64);
  const model = changed((graph) => {
    graph.initializer!.push(STORES.raw("onnx::mask", [CHANNELS, 8, 8], values));
    for (let i = 0; i < 50; i++) graph.node!.push(node("Add", [i ? `sum${i - 1}` : "conv", "onnx::mask"], [`sum${i}`]));
    graph.node!.push(node("Sigmoid", ["onnx::mask"], ["gate"]), node("Mul", ["sum49", "gate"], ["gated"]));
    graph.node![1].input![0] = "gated";
  });
  const network = onnxNetwork(await readOnnxModel(encode(model), "FILE"));
  const graph = new Graph();
  const { constants } = buildOnnx(graph, network, graph.external("images", [2, 8, 8, 3]), { numClasses: CLASSES });
  assertEquals([...constants.values()].map(({ length }) => length), [values.length]);
});

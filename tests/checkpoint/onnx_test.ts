import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { FormatError } from "../../lib/errors.ts";
import { readOnnxWeights } from "../../lib/checkpoint/onnx.ts";
import { onnxProto } from "../../lib/deps.ts";
import { assertRecordedInAnyOrder, fixture } from "./fixtures.ts";

const { ModelProto } = onnxProto.onnx;
type Initialiser = NonNullable<NonNullable<Parameters<typeof ModelProto.encode>[0]["graph"]>["initializer"]>[number];

function model(...initializer: readonly Initialiser[]): Uint8Array {
  return ModelProto.encode({ irVersion: 7, graph: { initializer: [...initializer] } }).finish();
}

Deno.test("readOnnxWeights() reads a trained network's weights under PyTorch's names", () => {
  assertRecordedInAnyOrder(readOnnxWeights(fixture("net.onnx")), "net.onnx");
});

Deno.test("readOnnxWeights() finds tensors that the exporter kept once because they were equal", () => {
  assertRecordedInAnyOrder(readOnnxWeights(fixture("net_fresh.onnx")), "net_fresh.onnx");
});

for (const [name, reason] of [["net_folded.onnx", "folded"], ["net_training.onnx", "one momentum step"]]) {
  Deno.test(`readOnnxWeights() refuses ${name} and names the right export`, () => {
    const { message } = assertThrows(() => readOnnxWeights(fixture(name), name), FormatError);
    assertStringIncludes(message, reason);
    assertStringIncludes(message, "export the eval-mode network with training=TrainingMode.PRESERVE");
  });
}

Deno.test("readOnnxWeights() reads typed fields as well as raw ones", () => {
  const found = readOnnxWeights(model(
    { name: "f32", dataType: 1, dims: [2], floatData: [1.5, -2] },
    { name: "f64", dataType: 11, dims: [1], doubleData: [0.1] },
    { name: "i64", dataType: 7, dims: [2], int64Data: [3, -4] },
    { name: "i32", dataType: 6, dims: [1], int32Data: [-5] },
    { name: "u8", dataType: 2, dims: [1], int32Data: [255] },
    { name: "f16", dataType: 10, dims: [2], int32Data: [0x3c00, 0xc000] },
    { name: "raw f16", dataType: 10, dims: [1], rawData: Uint8Array.of(0, 0x3c) },
    { name: "scalar", dataType: 1, dims: [], rawData: new Uint8Array(Float32Array.of(7).buffer) },
    { name: "onnx::made_up", dataType: 1, dims: [1], floatData: [1] },
    { name: "empty", dataType: 1, dims: [0, 3] },
  ));
  const values = Object.fromEntries(
    [...found].map(([name, { dtype, shape, data }]) => [name, [dtype, [...shape], [...data]]]),
  );
  assertEquals(values, {
    f32: ["float32", [2], [1.5, -2]],
    f64: ["float64", [1], [0.1]],
    i64: ["int64", [2], [3n, -4n]],
    i32: ["int32", [1], [-5]],
    u8: ["uint8", [1], [255]],
    f16: ["float16", [2], [1, -2]],
    "raw f16": ["float16", [1], [1]],
    scalar: ["float32", [], [7]],
    empty: ["float32", [0, 3], []],
  });
});

Deno.test("readOnnxWeights() refuses weights whose names the exporter took away, wherever they are read", () => {
  const named = { name: "fc.bias", dataType: 1, dims: [2], floatData: [1, 2] };
  const tensor = (name: string, dims: number[]) => (
    { name, dataType: 1, dims, floatData: Array(dims.reduce((a, b) => a * b, 1)).fill(1) }
  );
  const file = (opType: string, input: string[], dims: number[]) =>
    ModelProto.encode({
      irVersion: 7,
      graph: { initializer: [named, tensor("onnx::X_7", dims)], node: [{ opType, input, output: ["y"] }] },
    }).finish();
  for (
    const [opType, ...input] of [["MatMul", "x", "onnx::X_7"], ["Gemm", "x", "onnx::X_7"], ["Add", "onnx::X_7", "x"]]
  ) {
    const { message } = assertThrows(() => readOnnxWeights(file(opType, input, [3, 2]), "FILE"), FormatError);
    assertStringIncludes(message, "1 of its tensors have no name of PyTorch's, onnx::X_7 the first");
    assertStringIncludes(message, "export the eval-mode network with training=TrainingMode.PRESERVE");
    // A number, such as a scale, is none of the network's weights.
    assertEquals([...readOnnxWeights(file(opType, input, [1, 1])).keys()], ["fc.bias"]);
  }
  assertEquals([...readOnnxWeights(file("Resize", ["x", "", "onnx::X_7"], [4])).keys()], ["fc.bias"]);
});

Deno.test("readOnnxWeights() refuses weights that are not there", () => {
  const message = (...tensors: readonly Initialiser[]): string =>
    assertThrows(() => readOnnxWeights(model(...tensors), "FILE"), FormatError).message;
  assertStringIncludes(
    message({ name: "w", dataType: 1, dims: [3], floatData: [1] }),
    "needs 3 elements, but has 1 elements",
  );
  assertStringIncludes(message({ name: "w", dataType: 1, dims: [3], rawData: new Uint8Array(8) }), "but has 8 bytes");
  assertStringIncludes(message({ name: "w", dataType: 1, dims: [-1], floatData: [1] }), "sizes are integers");
  assertStringIncludes(message({ name: "w", dataType: 8, dims: [1] }), "ONNX type 8");
  assertStringIncludes(message({ name: "w", dataType: 1, dims: [1], dataLocation: 1 }), "another file");
  assertStringIncludes(message(), "without named weights");
});

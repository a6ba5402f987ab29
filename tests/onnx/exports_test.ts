/**
 * One network exported by PyTorch in several ways, against what PyTorch computes with it: other opsets, training mode, and
 * BatchNorm folded.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { isFolded, isTrainingExport } from "../../lib/onnx/export_mode.ts";
import { onnxNetwork } from "../../lib/onnx/network.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";
import { readOnnxFixture } from "../fixtures/onnx_model.ts";
import { gpuTests } from "../gpu/harness.ts";
import { assertAgrees } from "./agreement.ts";

const gpuTest = gpuTests();

/** Inputs and outputs of the nodes of an operator. */
function valuesOf({ nodes }: Awaited<ReturnType<typeof readOnnxModel>>, operator: string): number[][] {
  return nodes.filter((node) => node.operator === operator).map(({ inputs, outputs }) => [
    inputs.length,
    outputs.length,
  ]);
}

for (const name of ["functional", "vit", "swin"]) {
  for (const opset of [11, 17]) {
    gpuTest(`${name} as PyTorch exports it for opset ${opset} agrees with PyTorch`, async (gpu) => {
      const graph = `${name}_opset${opset}`, fixture = await readOnnxFixture(name, graph);
      const model = await readOnnxModel(fixture.bytes, graph);
      const norms = { functional: 0, vit: 5, swin: 9 }[name];
      assertEquals([model.opset, valuesOf(model, "LayerNormalization").length], [opset, opset < 17 ? 0 : norms]);
      await assertAgrees(gpu, onnxNetwork(model), fixture);
    });
  }
}

for (const [opset, outputs] of [[12, 5], [14, 3]]) {
  gpuTest(`a network exported in training mode, of opset ${opset}, agrees with PyTorch`, async (gpu) => {
    const fixture = await readOnnxFixture("functional", `functional_training${opset}`);
    const model = await readOnnxModel(fixture.bytes, "training");
    // A ratio and a mode, and a mask; statistics of the batch.
    assertEquals(valuesOf(model, "Dropout"), [[3, 2]]);
    assertEquals(valuesOf(model, "BatchNormalization"), Array(7).fill([5, outputs]));
    assertEquals([isTrainingExport(model), isFolded(model)], [true, false]);
    await assertAgrees(gpu, onnxNetwork(model), fixture);
  });
}

gpuTest(
  "a network whose BatchNorms the exporter folded trains as convolutions with biases do in PyTorch",
  async (gpu) => {
    const fixture = await readOnnxFixture("folded"), model = await readOnnxModel(fixture.bytes, "folded");
    assertEquals([isTrainingExport(model), isFolded(model), valuesOf(model, "BatchNormalization")], [false, true, []]);
    // The exporter made their names up; the record is in the order of the layers.
    const names = model.nodes.filter(({ operator }) => ["Conv", "Gemm"].includes(operator))
      .flatMap(({ inputs: [, ...weights] }) => weights);
    assertEquals([names.length, fixture.gradients.length], [16, 16]);
    const gradients = fixture.gradients.map((gradient, index) => ({ ...gradient, name: names[index] }));
    await assertAgrees(gpu, onnxNetwork(model), { ...fixture, gradients });
  },
);

/**
 * Classifiers of ONNX nodes against PyTorch: imported files, and networks of the same weights by their names.
 *
 * @module
 */

import { assert } from "@std/assert";
import { onnxNetworkOf } from "../../lib/models/network.ts";
import { withTensors } from "../../lib/onnx/export/transform.ts";
import { onnxNetwork } from "../../lib/onnx/network.ts";
import { weightsOf } from "../../lib/onnx/parameters.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";
import { readOnnxFixture } from "../fixtures/onnx_model.ts";
import { gpuTests } from "../gpu/harness.ts";
import { nhwcToNchw } from "../reference/layout.ts";
import { assertAgrees } from "./agreement.ts";
import { distance } from "./compare.ts";
import { runOnnx } from "./runtime.ts";

const gpuTest = gpuTests();

/** torchvision's own, whole, but for its ResNets, whose names `tests/models/network_test.ts` compares. */
const NAMED = ["mobilenet_v3_small", "densenet121", "efficientnet_b0", "convnext_tiny"];

for (
  const name of [
    "functional",
    "densenet",
    "squeezenet",
    "shufflenet",
    "mobilenet",
    "efficientnet",
    "convnext",
    "pieces",
    "vit",
    "swin",
    "resnet18",
    ...NAMED,
  ]
) {
  gpuTest(`buildOnnx() agrees with PyTorch: ${name}`, async (gpu) => {
    const fixture = await readOnnxFixture(name);
    const logits = await assertAgrees(gpu, onnxNetwork(await readOnnxModel(fixture.bytes, name)), fixture);
    if (name !== "functional") return;
    // The network with functional shortcuts is to evaluate exactly: what two orders of summation leave is 1e-7.
    const images = nhwcToNchw(fixture.images);
    const error = distance(logits, (await runOnnx(fixture.bytes, Float32Array.from(images.data), images.shape)).data);
    assert(error < 1e-6, `the logits differ from ONNX Runtime's by ${error}`);
  });
}

for (const name of NAMED) {
  gpuTest(`${name} by its name agrees with PyTorch`, async (gpu) => {
    const fixture = await readOnnxFixture(name), { size, classes } = fixture;
    const imported = onnxNetwork(await readOnnxModel(fixture.bytes, name));
    const network = onnxNetworkOf({ encoder: name, numClasses: classes, height: size, width: size })!;
    const model = withTensors(network.model, weightsOf(imported.model, imported.head));
    await assertAgrees(gpu, { ...network, model }, fixture);
  });
}

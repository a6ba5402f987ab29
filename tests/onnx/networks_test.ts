/**
 * Imported classifiers against PyTorch: logits in both modes, loss and every gradient.
 *
 * @module
 */

import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { onnxNetwork } from "../../lib/onnx/network.ts";
import { readOnnxModel } from "../../lib/onnx/read.ts";
import { relativeError } from "../fixtures/network.ts";
import { readOnnxFixture } from "../fixtures/onnx_model.ts";
import { gpuTests } from "../gpu/harness.ts";
import { distance, runNetwork } from "./compare.ts";

const gpuTest = gpuTests();

/** Gradients below this share of the largest are zero but for rounding: of a bias before a normalisation, of keys' bias. */
const ZERO = 1e-6;

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
    // torchvision's own, whole.
    "resnet18",
    "mobilenet_v3_small",
    "densenet121",
    "efficientnet_b0",
    "convnext_tiny",
  ]
) {
  gpuTest(`buildOnnx() agrees with PyTorch: ${name}`, async (gpu) => {
    const fixture = await readOnnxFixture(name);
    const network = onnxNetwork(await readOnnxModel(fixture.bytes, name));
    const found = await runNetwork(gpu, network, fixture);
    // The bounds; PyTorch's own float32 error is in each fixture's config, at worst 3e-4 for gradients.
    const errors = [distance(found.evalLogits, fixture.evalLogits.data), distance(found.logits, fixture.logits.data)];
    assert(errors.every((error) => error < 1e-4), `logits differ by ${errors}`);
    assertAlmostEquals(found.loss, fixture.loss, 1e-4 * fixture.loss);
    const norms = fixture.gradients.map(({ norm }) => norm), largest = Math.max(...norms);
    assertEquals([...found.gradients.keys()].sort(), fixture.gradients.map((gradient) => gradient.name).sort());
    for (const recorded of fixture.gradients) {
      const values = found.gradients.get(recorded.name)!;
      const error = recorded.norm < ZERO * largest ? Math.hypot(...values) / largest : relativeError(values, recorded);
      assert(error < 1e-3, `the gradient of ${recorded.name} differs by ${error}`);
    }
  });
}

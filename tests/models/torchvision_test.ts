/**
 * torchvision's classifiers by name: tensors and their order, logits, gradients' way through the device, weights.
 *
 * @module
 */

import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { createHash } from "node:crypto";
import { UsageError } from "../../lib/errors.ts";
import { layoutModel, type ModelLayouts, type VectorLayout } from "../../lib/models/device_model.ts";
import { writeOnnx } from "../../lib/models/export.ts";
import { constant, normal, xavier } from "../../lib/models/initial.ts";
import { type ClassifierConfig, initialOf, onnxNetworkOf } from "../../lib/models/network.ts";
import { RESNETS } from "../../lib/models/resnet.ts";
import { ARCHITECTURES } from "../../lib/models/torchvision/architectures.ts";
import { type Architecture, NetworkBuilder } from "../../lib/models/torchvision/builder.ts";
import { forInceptionScale } from "../../lib/models/torchvision/inception_v3.ts";
import { swinTransformer } from "../../lib/models/torchvision/swin.ts";
import { transformer } from "../../lib/models/torchvision/vision_transformer.ts";
import { initialWeights, stateDictFromWeights, type Weights, weightsFromStateDict } from "../../lib/models/weights.ts";
import { withTensors } from "../../lib/onnx/export/transform.ts";
import { writeOnnxModel } from "../../lib/onnx/export/write.ts";
import type { OnnxModel } from "../../lib/onnx/model.ts";
import { type OnnxNetwork, onnxNetwork } from "../../lib/onnx/network.ts";
import { float32Tensor, type HostTensor, sizeOf } from "../../lib/tensor.ts";
import { gpuTests } from "../gpu/harness.ts";
import { distance, evaluateNetwork, runNetwork } from "../onnx/compare.ts";
import { inputOf, NORMALISATION, ownLogits, randomImages, runOnnx } from "../onnx/runtime.ts";
import { assertSlopes } from "../onnx/slopes.ts";
import { hashedValues } from "../reference/hashed.ts";
import { nchwToNhwc } from "../reference/layout.ts";
import published from "../fixtures/networks/torchvision.json" with { type: "json" };

/** What torchvision says of a network: `write_torchvision.py` states how it was found. */
interface Published {
  readonly size: readonly [number, number];
  readonly parameters: number;
  readonly tensors: number;
  readonly sha256: string;
  readonly gain?: number;
  readonly logits?: readonly number[];
}

const gpuTest = gpuTests();
const PUBLISHED = published as unknown as Readonly<Record<string, Published>>;
const CLASSES = 10, IMAGES = 1_000_001, BATCH = 2;
/** Larger ones are run where `SWAGPU_LARGE` is set, but for these: the smallest of their families. */
const MOST_PARAMETERS = 1e7;
const ALWAYS = ["alexnet", "convnext_tiny", "inception_v3", "resnet34", "resnext50_32x4d", "swin_t", "vit_b_16"];
const LARGE = Deno.env.get("SWAGPU_LARGE") !== undefined;

function configOf(name: string): ClassifierConfig {
  const [height, width] = PUBLISHED[name].size;
  return { encoder: name, numClasses: CLASSES, height, width };
}

/** The fixture's weights: see `write_torchvision.py`. */
function hashedWeights(config: ClassifierConfig, gain: number): Weights {
  const layouts = layoutModel(config);
  const tensors = layouts.parameters.map(({ name, torchShape }, stream): [string, HostTensor] => {
    const count = sizeOf(torchShape), isScale = /(weight|running_var)$/.test(name);
    const values = torchShape.length > 1
      ? hashedValues(stream, count, gain * Math.sqrt(6 / sizeOf(torchShape.slice(1))))
      : hashedValues(stream, count, 0.1, isScale ? 1 : 0);
    return [name, float32Tensor(torchShape, values)];
  });
  return weightsFromStateDict(layouts, new Map(tensors), { head: "require", seed: 0 });
}

Deno.test("every named network has torchvision's tensors in torchvision's order", () => {
  const residual = Object.keys(RESNETS).filter((name) => RESNETS[name].headName === "fc");
  assertEquals([...Object.keys(ARCHITECTURES), ...residual].sort(), Object.keys(PUBLISHED).sort());
  for (const [name, { parameters, tensors, sha256 }] of Object.entries(PUBLISHED)) {
    const layouts = layoutModel(configOf(name));
    const lines = layouts.parameters.map(({ name: key, torchShape }) => `${key} ${torchShape}\n`);
    assertEquals(lines.length, tensors, name);
    assertEquals(layouts.backbone.count + layouts.head.count, parameters, name);
    assertEquals(createHash("sha256").update(lines.join("")).digest("hex"), sha256, name);
  }
});

for (const [name, { parameters, size, gain, logits }] of Object.entries(PUBLISHED)) {
  if (gain === undefined || logits === undefined) continue;
  Deno.test({
    name: `${name} computes torchvision's logits`,
    ignore: parameters > MOST_PARAMETERS && !ALWAYS.includes(name) && !LARGE,
    async fn() {
      const config = configOf(name), folder = await Deno.makeTempDir();
      try {
        const { model, data } = writeOnnx(config, hashedWeights(config, gain), { dataName: "model.onnx.data" });
        await Deno.writeFile(`${folder}/model.onnx`, model);
        if (data !== undefined) await Deno.writeFile(`${folder}/model.onnx.data`, data);
        const images = hashedValues(IMAGES, BATCH * 3 * sizeOf(size), 3);
        const found = await runOnnx(`${folder}/model.onnx`, images, [BATCH, 3, ...size]);
        const error = distance(found.data, logits);
        assert(error < 1e-4, `the logits differ by ${error}`);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

/** On the device all are run where `SWAGPU_LARGE` is set but the largest, which take minutes and gigabytes. */
const MOST_ON_DEVICE = 9e7;

for (const [name, { parameters, size, gain, logits }] of Object.entries(PUBLISHED)) {
  if (gain === undefined || logits === undefined || !LARGE || parameters > MOST_ON_DEVICE) continue;
  gpuTest(`${name} computes torchvision's logits on the device`, async (gpu) => {
    const config = configOf(name), network = onnxNetworkOf(config), hashed = hashedWeights(config, gain);
    // Of a residual network, what its file does, on images in bytes.
    if (network === undefined) {
      const set = randomImages(BATCH, config), own = await ownLogits(gpu, config, hashed, set);
      const file = writeOnnx(config, hashed).model;
      const error = distance(own, (await runOnnx(file, inputOf(set, NORMALISATION), [BATCH, 3, ...size])).data);
      assert(error < 1e-4, `the logits differ by ${error}`);
      return;
    }
    const model = withTensors(network.model, stateDictFromWeights(layoutModel(config), hashed));
    const data = Float64Array.from(hashedValues(IMAGES, BATCH * 3 * sizeOf(size), 3));
    const batch = { images: nchwToNhwc({ shape: [BATCH, 3, ...size], data }), labels: new Uint32Array(BATCH) };
    const error = distance(await evaluateNetwork(gpu, { ...network, model }, batch), logits);
    assert(error < 1e-4, `the logits differ by ${error}`);
  });
}

/** A builder's network with hashed weights in its file's place. */
function tiny(build: Architecture, height: number, width: number): ClassifierConfig & { network: OnnxNetwork } {
  const builder = new NetworkBuilder(height, width);
  const network = onnxNetwork(builder.model("tiny", build(builder, CLASSES)));
  const config = { encoder: "tiny", network, numClasses: CLASSES, height, width };
  const weights = stateDictFromWeights(layoutModel(config), hashedWeights(config, 0.7));
  return { ...config, network: { ...network, model: withTensors(network.model, weights) } };
}

/** Two convolutions whose image is pooled to 7 x 7 pixels, as VGG's and AlexNet's are: 5 x 3 pixels are not enough. */
const pooled: Architecture = (builder, numClasses) => {
  const x = builder.gelu("gelu", builder.conv("conv", builder.images, { out: 6, kernel: 3, stride: 2, bias: true }));
  return builder.head("head", builder.flatten("flatten", builder.adaptiveAveragePool("avgpool", x, 7)), numClasses);
};

const TINY: Readonly<Record<string, ClassifierConfig & { network: OnnxNetwork }>> = {
  "pooling to more pixels, unevenly": tiny(pooled, 11, 7),
  "pooling to fewer pixels, unevenly": tiny(pooled, 25, 19),
  "pooling to fewer pixels, evenly": tiny(pooled, 29, 29),
  "a vision transformer": tiny(transformer({ patch: 8, layers: 2, heads: 2, width: 16, wide: 24 }), 16, 24),
  // Rows shift and columns, of one window, do not.
  "a Swin transformer": tiny(swinTransformer({ width: 8, layers: [2, 1], heads: [2, 4] }), 40, 20),
  "inputs normalised again": tiny(
    (builder, numClasses) => builder.head("head", builder.flatten("flatten", forInceptionScale(builder)), numClasses),
    4,
    4,
  ),
};

for (const [name, { network, height, width }] of Object.entries(TINY)) {
  gpuTest(`${name}: logits and gradients of the device are those of ONNX Runtime's file`, async (gpu) => {
    const images = hashedValues(IMAGES, BATCH * 3 * height * width, 1), labels = Uint32Array.of(3, 8);
    const logitsOf = async (model: OnnxModel) =>
      (await runOnnx(writeOnnxModel(model).model, images, [BATCH, 3, height, width])).data;
    const batch = { images: nchwToNhwc({ shape: [BATCH, 3, height, width], data: Float64Array.from(images) }), labels };
    const found = await runNetwork(gpu, network, batch);
    assert(distance(found.evalLogits, await logitsOf(network.model)) < 1e-5, "logits");
    const file = writeOnnxModel(network.model).model;
    await assertSlopes(file, found.gradients, { images, shape: [BATCH, 3, height, width], labels });
  });
}

/** Weights of which no two that are near each other are the same. */
function ramp({ backbone, head, state }: ModelLayouts): Weights {
  const values = ({ count }: VectorLayout) => new Float32Array(count).map((_, i) => i % 997);
  return { backbone: values(backbone), head: values(head), state: values(state) };
}

Deno.test("weightsFromStateDict() takes torchvision's first names", () => {
  const layers = (name: string) => name.replace(/\.(norm|conv)([12])\./, ".$1.$2.");
  const linear = (name: string) => name.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2.");
  for (
    const [config, rename, example] of [
      [configOf("densenet121"), layers, "features.denseblock1.denselayer1.norm.1.weight"],
      [TINY["a vision transformer"], linear, "encoder.layers.encoder_layer_0.mlp.linear_2.bias"],
    ] as const
  ) {
    const layouts = layoutModel(config), weights = ramp(layouts);
    const dict = new Map([...stateDictFromWeights(layouts, weights)].map(([key, value]) => [rename(key), value]));
    assert(dict.has(example));
    assertEquals(weightsFromStateDict(layouts, dict, { head: "require", seed: 1 }), weights);
  }
});

Deno.test("weightsFromStateDict() leaves out what networks do without, and nothing else", () => {
  for (
    const [config, key] of [
      [configOf("googlenet"), "AuxLogits.conv0.conv.weight"],
      [configOf("googlenet"), "aux1.fc1.weight"],
      [TINY["a Swin transformer"], "features.1.0.attn.relative_position_index"],
    ] as const
  ) {
    const layouts = layoutModel(config), weights = ramp(layouts), options = { head: "require", seed: 1 } as const;
    const dict = stateDictFromWeights(layouts, weights).set(key, float32Tensor([1], new Float32Array(1)));
    assertEquals(weightsFromStateDict(layouts, dict, options), weights);
    dict.set(`other.${key}s`, dict.get(key)!);
    assertThrows(() => weightsFromStateDict(layouts, dict, options), TypeError, "1 not in the model");
  }
});

Deno.test("fresh weights of a named network are drawn from what torchvision states, the head's as PyTorch's default", () => {
  const of = (encoder: string) => initialOf({ encoder, numClasses: 10, height: 64, width: 64 });
  const transformer = of("vit_b_32"), vgg = of("vgg11_bn");
  assertEquals(transformer.get("class_token"), constant(0));
  assertEquals(transformer.get("encoder.pos_embedding"), normal(0.02));
  const within = "encoder.layers.encoder_layer_0.self_attention";
  assertEquals(transformer.get(`${within}.in_proj_weight`), xavier(768, 3 * 768));
  assertEquals(vgg.get("features.4.weight"), normal(Math.sqrt(2 / (9 * 128))));
  assertEquals(vgg.get("classifier.0.weight"), normal(0.01));
  assertEquals(of("convnext_tiny").get("features.1.0.layer_scale"), constant(1e-6));

  const layouts = layoutModel({ encoder: "mnasnet0_5", numClasses: 10, height: 64, width: 64 });
  const dict = stateDictFromWeights(layouts, initialWeights(layouts, 1));
  const spread = (name: string) => {
    const values = dict.get(name)!.data as Float32Array;
    return Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
  };
  const near = (found: number, expected: number) => assertAlmostEquals(found, expected, 0.02 * expected);
  near(spread("layers.14.weight"), Math.sqrt(2 / 1280));
  near(spread("classifier.1.weight"), 1 / Math.sqrt(3 * 1280));
  assert((dict.get("layers.1.running_var")!.data as Float32Array).every((x) => x === 1));
});

Deno.test("a named network refuses a small stem, images that are too small, and patches that do not cover them", () => {
  const size = { numClasses: 10, height: 64, width: 64 };
  const refused = (config: ClassifierConfig, message: string) =>
    assertThrows(() => layoutModel(config), UsageError, message);
  refused({ ...size, encoder: "mobilenet_v2", smallStem: true }, "Cannot give mobilenet_v2 a small stem");
  refused({ ...size, encoder: "alexnet", height: 32 }, "for images of 32x64: at its layer features.12 1x3 pixels");
  refused({ ...size, encoder: "vit_b_16", width: 60 }, "multiples of 16 are required");
  refused({ ...size, encoder: "mobilenet_v4" }, "Cannot build encoder mobilenet_v4: the known ones are resnet18");
});

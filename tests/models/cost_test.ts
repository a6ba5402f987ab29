// deno-lint-ignore-file camelcase -- networks have torchvision's names
/**
 * What named networks cost, against the figures that torchvision states of its weights.
 *
 * @module
 */

import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { classifierCost } from "../../lib/models/cost.ts";
import { layoutModel } from "../../lib/models/device_model.ts";

/** Parameters, and billions of multiplications with an addition of one image of 224 x 224 (`_ops`), of 1000 classes. */
const STATED: Readonly<Record<string, readonly [parameters: number, ops: number]>> = {
  resnet18: [11_689_512, 1.814],
  resnet50: [25_557_032, 4.089],
  wide_resnet50_2: [68_883_240, 11.398],
  resnext50_32x4d: [25_028_904, 4.23],
  alexnet: [61_100_840, 0.714],
  vgg11: [132_863_336, 7.609],
  squeezenet1_1: [1_235_496, 0.349],
  densenet121: [7_978_856, 2.834],
  googlenet: [6_624_904, 1.498],
  mobilenet_v2: [3_504_872, 0.301],
  mobilenet_v3_small: [2_542_856, 0.057],
  mnasnet1_0: [4_383_312, 0.314],
  shufflenet_v2_x1_0: [2_278_604, 0.145],
  regnet_y_400mf: [4_344_144, 0.402],
  efficientnet_b0: [5_288_548, 0.386],
  convnext_tiny: [28_589_128, 4.456],
  vit_b_16: [86_567_656, 17.564],
  swin_t: [28_288_354, 4.491],
};

Deno.test("classifierCost() counts the operations that torchvision states, and layouts its parameters", () => {
  for (const [encoder, [parameters, ops]] of Object.entries(STATED)) {
    const config = { encoder, numClasses: 1000, height: 224, width: 224 }, { backbone, head } = layoutModel(config);
    assertEquals(backbone.count + head.count, parameters, encoder);
    // An operation is counted twice: a multiplication and an addition.
    assertAlmostEquals(classifierCost(config, 1).forwardFlops / 2e9, ops, 5e-4, encoder);
  }
});

Deno.test("a training step costs three forward passes less the gradient of the images, and holds the activations", () => {
  const config = { encoder: "resnet18", numClasses: 1000, height: 224, width: 224 };
  const one = classifierCost(config, 1), two = classifierCost(config, 2);
  const stem = 2 * 112 * 112 * 64 * 7 * 7 * 3;
  assertEquals(one.trainingFlops, 3 * one.forwardFlops - stem);
  assertEquals([two.forwardFlops, two.trainingFlops], [2 * one.forwardFlops, 2 * one.trainingFlops]);
  // What an evaluation holds at once: at most the stem's output, what is pooled of it, and the image.
  const image = 4 * 3 * 224 ** 2, output = 4 * 64 * 112 ** 2, pooled = output / 4;
  assert(one.evaluationBytes >= output + pooled && one.evaluationBytes <= 2 * output + pooled + image);
  // Training keeps what each convolution gives and what is normalised of it, and at most as much again for gradients.
  const outputs = output + 4 * (4 * 64 * 56 ** 2 + 5 * 128 * 28 ** 2 + 5 * 256 * 14 ** 2 + 5 * 512 * 7 ** 2);
  assert(one.trainingBytes >= 2 * outputs && one.trainingBytes <= 4 * outputs, `${one.trainingBytes} of ${outputs}`);
});

import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { readFixture, recorded } from "../fixtures/fixture.ts";
import { readNetwork, relativeError } from "../fixtures/network.ts";
import { hash32, hashedUnit, hashedValues } from "./hashed.ts";
import { nhwcToNchw } from "./layout.ts";
import { softmaxCrossEntropy } from "./softmax_cross_entropy.ts";

Deno.test("hashedUnit() is uniform in [-1, 1) and differs between streams", () => {
  const count = 20_000, values = Array.from({ length: count }, (_, i) => hashedUnit(5, i));
  const mean = values.reduce((sum, x) => sum + x, 0) / count;
  const square = values.reduce((sum, x) => sum + x * x, 0) / count;
  assert(values.every((x) => x >= -1 && x < 1));
  // Standard errors: 0.577 / √20000 = 0.0041 and 0.298 / √20000 = 0.0021; five of them.
  assertAlmostEquals(mean, 0, 0.021);
  assertAlmostEquals(square, 1 / 3, 0.011);
  assert(hash32(5, 0) !== hash32(6, 0) && hash32(5, 0) !== hash32(5, 1));
});

for (const name of ["resnet20", "resnet18", "resnet50"]) {
  Deno.test(`readNetwork() computes the weights, images and labels that PyTorch had: ${name}`, () => {
    const fixture = readFixture(new URL(`../fixtures/networks/${name}.bin`, import.meta.url));
    const network = readNetwork(name);
    const starts = Float32Array.from([...network.parameters.values()].map(({ data }) => data[0]));
    assertEquals(starts, fixture.tensors.get("parametersStart")!.data);
    assertEquals([...nhwcToNchw(network.images).data.slice(0, 8)], [...recorded(fixture, "imagesStart").data]);
    assertEquals([...network.labels], [...recorded(fixture, "labels").data]);
    assertEquals(hashedValues(fixture.config.imageStream, 8, 1), fixture.tensors.get("imagesStart")!.data);
  });

  Deno.test(`the fixture of ${name} agrees with itself and leaves room for float32`, () => {
    const network = readNetwork(name),
      { config } = readFixture(
        new URL(`../fixtures/networks/${name}.bin`, import.meta.url),
      );
    assertAlmostEquals(softmaxCrossEntropy(network.logits, network.labels).loss, network.loss, 1e-12);
    assertEquals(network.trainingLosses[0], network.loss);
    assertEquals(network.gradients.map((gradient) => gradient.name), [...network.parameters.keys()]);
    for (const checked of [...network.gradients, ...network.buffers]) {
      if (checked.positions.length === checked.shape.reduce((product, n) => product * n, 1)) {
        // The elements are stored as float32, the norm was taken in float64.
        assert(relativeError(checked.values, checked) < 1e-6, checked.name);
      }
      assert(Number.isFinite(checked.norm) && checked.norm > 0, checked.name);
    }
    // The head's bias gradient is known in closed form: the column sums of (softmax - one-hot) / batch.
    const { dLogits } = softmaxCrossEntropy(network.logits, network.labels);
    const bias = Array.from(
      { length: 10 },
      (_, k) => dLogits.data.reduce((sum, d, i) => i % 10 === k ? sum + d : sum, 0),
    );
    assert(relativeError(bias, network.gradients.at(-1)!) < 1e-6);
    assert(config.float32.logits < 1e-5 && config.float32.gradients < 1e-4 && config.float32.buffers < 1e-5);
    assert(Math.max(...config.float32.trainingLosses) < 1e-3);
  });
}

Deno.test("the parameter lists hold P = 23,508,032 for ResNet-50 and 42,500,160 for ResNet-101", () => {
  const lists = JSON.parse(
    Deno.readTextFileSync(new URL("../fixtures/networks/torchvision_parameters.json", import.meta.url)),
  ) as Record<string, { count: number; parameters: [string, number[]][] }>;
  for (const { count, parameters } of Object.values(lists)) {
    assertEquals(parameters.reduce((sum, [, shape]) => sum + shape.reduce((product, n) => product * n, 1), 0), count);
  }
  assertEquals([lists.resnet50.count, lists.resnet101.count], [23_508_032, 42_500_160]);
  assertEquals(Object.keys(lists).length, 9);
});

import { assert, assertEquals } from "@std/assert";
import { expand } from "../../kernels/template.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { conv2d } from "../../lib/ops/conv2d.ts";
import { scratch, type Target, targetOf } from "../../lib/ops/operation.ts";
import { distinct, lowerProduct, type Product } from "../../lib/ops/product.ts";
import { earlierGradient, gpuTests, type OperationCase, runOperation } from "../gpu/harness.ts";
import { conv2d as twin, conv2dBackward as twinBackward } from "../reference/conv2d.ts";
import type { Tensor } from "../reference/tensor.ts";
import { assertClose, normal, plus, WAYS } from "./helpers.ts";

/** As in `conv2d_test.ts`: float32 sums of some thousand terms against float64. */
const TOLERANCE = 2e-6;

const gpuTest = gpuTests();

const product = (names: readonly string[], label = "p"): Product => ({
  shapeClass: "class",
  flops: 8,
  operands: [],
  output: scratch("output", [1]),
  variants: names.map((name) => ({
    name,
    lower: () =>
      ["product", "sum"].map((part) => ({
        label: `${label} ${name} ${part}`,
        source: "",
        constants: {},
        bindings: [],
        groups: [1, 1, 1] as const,
      })),
  })),
});

Deno.test("lowerProduct() takes the variant that the tuning names, else the first, and tells of the product", () => {
  const seen: Product[] = [];
  const target = { schedule: "cpu", subgroupSize: 8, tiles: [], training: true } as const;
  const lower = (tuning?: Target["tuning"]) =>
    lowerProduct({ ...target, tuning, onProduct: (found) => seen.push(found) }, product(["a", "b"]));
  assertEquals(lower().map(({ label, flops }) => [label, flops]), [["p a product", 8], ["p a sum", undefined]]);
  assertEquals(lower({ class: "b" })[0].label, "p b product");
  assertEquals(lower({ class: "no such" })[0].label, "p a product");
  assertEquals(lower({ other: "b" })[0].label, "p a product");
  assertEquals(seen.map(({ shapeClass }) => shapeClass), Array(4).fill("class"));
});

Deno.test("distinct() keeps the first of each name", () => {
  const { variants } = product(["a", "b", "a", "c", "b"]);
  assertEquals(distinct(variants), [variants[0], variants[1], variants[3]]);
});

/** Shapes that reach the kernels' kinds: strips, lanes, tiles, long reductions over few outputs, residue classes. */
const SHAPES = {
  "3x3": { images: [2, 9, 7, 16], outputs: 32, kernel: 3, padding: 1, stride: 1, groups: 1 },
  "3x3, odd channels": { images: [2, 7, 9, 5], outputs: 6, kernel: 3, padding: 1, stride: 1, groups: 1 },
  "3x3 stride 2, long reduction": { images: [1, 6, 5, 192], outputs: 68, kernel: 3, padding: 1, stride: 2, groups: 1 },
  "3x3 stride 2, 6 channels": { images: [3, 9, 9, 6], outputs: 72, kernel: 3, padding: 1, stride: 2, groups: 1 },
  "1x1, long reduction": { images: [5, 1, 1, 600], outputs: 515, kernel: 1, padding: 0, stride: 1, groups: 1 },
  "7x7 stride 2, an image": { images: [1, 17, 15, 3], outputs: 8, kernel: 7, padding: 3, stride: 2, groups: 1 },
  "1x1, worth a long text": { images: [1, 28, 28, 256], outputs: 256, kernel: 1, padding: 0, stride: 1, groups: 1 },
  "2 groups of 96": { images: [1, 4, 3, 192], outputs: 192, kernel: 3, padding: 1, stride: 1, groups: 2 },
  "several splits of the weight gradient": {
    images: [2, 33, 31, 4],
    outputs: 12,
    kernel: 3,
    padding: 1,
    stride: 1,
    groups: 1,
  },
};

/** The products of both passes of a convolution. */
function productsOf(gpu: Gpu, target: Partial<Target>, test: OperationCase): Product[] {
  const products: Product[] = [];
  const observed = {
    ...targetOf(gpu, { training: true }),
    ...target,
    onProduct: (found: Product) => products.push(found),
  };
  const tensors = Object.fromEntries(
    Object.entries(test.operands).map(([name, { value, layout }]) => {
      const [o, i, ...taps] = value.shape;
      return [name, scratch(name, layout === "convolution" ? [...taps, i, o] : value.shape)];
    }),
  );
  const operation = test.build(tensors);
  operation.forward(observed);
  operation.backward(observed, scratch("dOutput", operation.output.shape), (input) => ({
    tensor: scratch(`d ${input.name}`, input.shape),
    accumulate: true,
  }));
  return products;
}

/** Building every variant where operands go through workgroup memory takes long: two shapes reach both kinds of kernel. */
const SHARED = ["3x3, odd channels", "3x3 stride 2, 6 channels"];
/** Shapes of which the kernels by subgroups alone have something of their own. */
const BY_SUBGROUPS = ["7x7 stride 2, an image", "1x1, worth a long text"];

for (const [name, { images, outputs, kernel, ...options }] of Object.entries(SHAPES)) {
  for (const [way, target] of Object.entries(WAYS)) {
    if (target.subgroupSize === 0 && !SHARED.includes(name)) continue;
    if (way !== "subgroups" && BY_SUBGROUPS.includes(name)) continue;
    gpuTest(`conv2d() by ${way}, in every variant, equals the f64 twin: ${name}`, async (gpu) => {
      const channels = images[3] / options.groups;
      const input = normal(images, 1), weight = normal([outputs, channels, kernel, kernel], 2);
      const bias = normal([outputs], 3), twinOptions = { ...options, dilation: 1 };
      const output = twin(input, weight, bias, twinOptions), dOutput = normal(output.shape, 4);
      const expected = twinBackward(dOutput, input, weight, twinOptions);
      const test: OperationCase = {
        operands: { input: { value: input }, weight: { value: weight, layout: "convolution" }, bias: { value: bias } },
        build: ({ input, weight, bias }) => conv2d("conv", input, weight, { ...options, bias }),
        dOutput,
        target,
      };
      const products = productsOf(gpu, target, test);
      assertEquals(products.length, 3);
      const most = Math.max(...products.map(({ variants }) => variants.length));
      assert(most > 1);
      for (let index = 0; index < most; index++) {
        const chosen = products.map(({ shapeClass, variants }) => [shapeClass, variants[index % variants.length].name]);
        const tuning = Object.fromEntries(chosen), accumulate = index % 2 === 0;
        const found = await runOperation(gpu, { ...test, target: { ...target, tuning }, accumulate });
        const before = (t: Tensor) => accumulate ? plus(t, earlierGradient(t.shape)) : t;
        const what = JSON.stringify(tuning);
        assertClose(`output, ${what}`, found.output, output, TOLERANCE);
        assertClose(`dInput, ${what}`, found.gradients.input, before(expected.dInput), TOLERANCE);
        assertClose(`dWeight, ${what}`, found.gradients.weight, before(expected.dWeight), TOLERANCE);
      }
    });
  }
}

Deno.test("variants of a product differ in their kernels, and a class says all that they depend on", () => {
  const target = { schedule: "gpu", subgroupSize: 8, tiles: [], training: true } as const;
  for (const schedule of ["cpu", "gpu"] as const) {
    const classes = new Map<string, string>();
    for (
      const [n, stride, padding, outputs] of [[2, 1, 1, 64], [3, 1, 1, 64], [2, 2, 1, 64], [2, 1, 0, 64], [2, 1, 1, 32]]
    ) {
      const input = scratch("input", [n, 8, 8, 128]), weight = scratch("weight", [3, 3, 128, outputs]);
      const observed: Product[] = [];
      const tiles = [{ bm: 32, bn: 32, bk: 16, tm: 4, tn: 4, efficiency: 0.5 }];
      conv2d("conv", input, weight, { stride, padding }).forward({
        ...target,
        schedule,
        tiles,
        onProduct: (found) => observed.push(found),
      });
      const [{ shapeClass, variants }] = observed;
      const texts = variants.map((variant) =>
        variant.lower().map(({ source, constants, groups }) => expand(source, constants) + groups).join()
      );
      assertEquals(new Set(texts).size, variants.length, shapeClass);
      assertEquals(classes.has(shapeClass), false, shapeClass);
      classes.set(shapeClass, texts[0]);
    }
    assertEquals(classes.size, 5);
  }
});

import { assertThrows } from "@std/assert";
import { normaliseImages } from "../../lib/ops/images.ts";
import { scratch } from "../../lib/ops/operation.ts";
import { gpuTests, runOperation } from "../gpu/harness.ts";
import { tensor } from "../reference/tensor.ts";
import { assertClose } from "./helpers.ts";

const gpuTest = gpuTests();

// 1, 2 and 3 bytes beyond whole words, and more pixels than one workgroup takes.
for (const shape of [[1, 1, 1, 3], [1, 3, 5, 3], [2, 1, 1, 3], [3, 1, 1, 3], [1, 32, 33, 3]]) {
  gpuTest(`normaliseImages() scales and shifts each colour of [${shape}]`, async (gpu) => {
    const images = tensor(shape);
    images.data.forEach((_, i) => images.data[i] = (i * 89) % 256);
    const colours = tensor([6], [1 / 64, -0.5, 2, -1.25, 3, 0.125]);
    const { output } = await runOperation(gpu, {
      operands: { images: { value: images, layout: "bytes" }, colours: { value: colours } },
      build: ({ images, colours }) => normaliseImages("images", images, colours),
    });
    const expected = images.data.map((byte, i) => byte * colours.data[i % 3] + colours.data[3 + i % 3]);
    // These scales and shifts are exact in float32.
    assertClose("output", output, tensor(shape, expected), 0);
  });
}

Deno.test("normaliseImages() rejects images that have not three colours", () => {
  for (const shape of [[1, 2, 2, 1], [2, 2, 3]]) {
    assertThrows(
      () => normaliseImages("images", scratch("images", shape), scratch("colours", [6])),
      TypeError,
      "[N, H, W, 3] is required",
    );
  }
});

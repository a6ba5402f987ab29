import { assert, assertEquals, assertThrows } from "@std/assert";
import { NORMALISATIONS, normaliseImages, resolveNormalisation, scaleAndShift } from "../../lib/data/normalisation.ts";
import { UsageError } from "../../lib/errors.ts";

Deno.test("resolveNormalisation() knows names and numbers, ImageNet's by default", () => {
  assertEquals(resolveNormalisation(), { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] });
  assertEquals(resolveNormalisation("cifar10"), NORMALISATIONS.cifar10);
  const numbers = { mean: [0.5, 0, 1], std: [0.25, 1, 2] } as const;
  assertEquals(resolveNormalisation("0.5, 0, 1, 0.25, 1, 2"), numbers);
  assertEquals(resolveNormalisation(numbers), numbers);
});

Deno.test("resolveNormalisation() refuses the rest", () => {
  for (
    const choice of [
      "mnist",
      "toString",
      "",
      "1,2,3",
      "0,0,0,1,1,0",
      "0,0,0,1,1,-1",
      "0,0,0,1,1,1,1",
      "0,,0,1,1,1",
      "0,0,0,1,1,Infinity",
    ]
  ) {
    assertThrows(() => resolveNormalisation(choice), UsageError, `"${choice}"`);
  }
});

Deno.test("normaliseImages() and scaleAndShift() compute (byte / 255 - mean) / std by channel", () => {
  const choice = resolveNormalisation("cifar100");
  const { scale, shift } = scaleAndShift(choice);
  const bytes = Uint8Array.of(0, 0, 0, 255, 255, 255, 17, 101, 230);
  const expected = [...bytes].map((byte, at) => (byte / 255 - choice.mean[at % 3]) / choice.std[at % 3]);
  const normalised = normaliseImages(bytes, choice);
  expected.forEach((value, at) => {
    assert(Math.abs(normalised[at] - value) < 1e-6);
    assert(Math.abs(bytes[at] * scale[at % 3] + shift[at % 3] - value) < 1e-12);
  });
});

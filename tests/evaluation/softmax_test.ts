import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { argmax, logSoftmax, softmax } from "../../lib/evaluation/softmax.ts";

Deno.test("softmax() is exact where exp() of the logits would overflow or underflow", () => {
  const expected = [1 / (1 + Math.E), Math.E / (1 + Math.E)];
  for (const shift of [0, 1000, -1000]) {
    softmax(Float64Array.of(shift, shift + 1), 2).forEach((p, i) => assertAlmostEquals(p, expected[i], 1e-15));
  }
  assertEquals([...softmax(Float32Array.of(-Infinity, 0), 2)], [0, 1]);
});

Deno.test("logSoftmax() keeps what softmax() underflows", () => {
  assertEquals([...logSoftmax(Float64Array.of(0, -2000, 5, 5), 2)], [0, -2000, -Math.LN2, -Math.LN2]);
});

Deno.test("softmax() refuses rows without a finite largest logit, by number", () => {
  const bad = (row: number[]) => () => softmax(Float64Array.from([1, 2, ...row]), 2);
  assertThrows(bad([0, NaN]), RangeError, "row 1: its largest logit is NaN");
  assertThrows(bad([NaN, 0]), RangeError, "row 1: its largest logit is NaN");
  assertThrows(bad([0, Infinity]), RangeError, "row 1: its largest logit is Infinity");
  assertThrows(bad([-Infinity, -Infinity]), RangeError, "row 1: its largest logit is -Infinity");
  assertThrows(() => softmax(new Float32Array(5), 2), TypeError, "5 values as rows of 2");
});

Deno.test("argmax() returns the first of equal values", () => {
  assertEquals(argmax([9, 1, 3, 3, 2], 1, 4), 1);
});

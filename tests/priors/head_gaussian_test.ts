/** Gaussians over heads: coordinates along axes, their file, and what is refused. */

import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { readSafetensors, writeSafetensors } from "../../lib/checkpoint/safetensors.ts";
import { FormatError } from "../../lib/errors.ts";
import { readPrior, writeHalfPrior, writePrior } from "../../lib/priors/files.ts";
import {
  headCoordinates,
  type HeadPrior,
  joined,
  parted,
  requireHeadClasses,
  scaleHead,
} from "../../lib/priors/head_gaussian.ts";
import { writePriorParts } from "../../lib/priors/parts.ts";
import { float32Tensor, type StateDict } from "../../lib/tensor.ts";
import { tinyPrior } from "../commands/task.ts";
import { hashedUnit } from "../reference/hashed.ts";
import { reflection } from "../reference/reflection.ts";

const CLASSES = 3, WIDTH = 5, SIZE = CLASSES * WIDTH;
const values = (stream: number, count = SIZE) => Float32Array.from({ length: count }, (_, i) => hashedUnit(stream, i));

const AXES = { inputs: reflection(WIDTH, 1), outputs: reflection(CLASSES, 2) };
const HEAD: HeadPrior = {
  mean: values(3),
  variance: values(4).map((x) => 1 + x / 2),
  axes: AXES,
  classNames: ["cat", "dog", "emu"],
};
const withHead = (head: HeadPrior = HEAD) => ({ ...tinyPrior(), head });

Deno.test("joined() puts each bias behind its weights, and parted() takes them apart", () => {
  const head = Float32Array.from({ length: SIZE }, (_, i) => i);
  assertEquals([...joined(head, CLASSES)], [0, 1, 2, 3, 12, 4, 5, 6, 7, 13, 8, 9, 10, 11, 14]);
  assertEquals(parted(joined(head, CLASSES), CLASSES), head);
});

Deno.test("headCoordinates() are outputs^T [W b] inputs, and the head again along axes that are their own inverse", () => {
  const head = values(5), matrix = joined(head, CLASSES), found = joined(headCoordinates(head, AXES), CLASSES);
  for (let k = 0; k < CLASSES; k++) {
    for (let j = 0; j < WIDTH; j++) {
      let sum = 0;
      for (let c = 0; c < CLASSES; c++) {
        for (let i = 0; i < WIDTH; i++) {
          sum += AXES.outputs[c * CLASSES + k] * matrix[c * WIDTH + i] * AXES.inputs[i * WIDTH + j];
        }
      }
      assertAlmostEquals(found[k * WIDTH + j], sum, 1e-6);
    }
  }
  headCoordinates(headCoordinates(head, AXES), AXES).forEach((value, i) => assertAlmostEquals(value, head[i], 1e-6));
});

Deno.test("a prior's file keeps the head's Gaussian, in half precision as well", () => {
  for (const head of [HEAD, { ...HEAD, axes: undefined }]) {
    assertEquals(readPrior(writePrior(withHead(head))).head, head);
    assertEquals(readPrior(writeHalfPrior(withHead(head)).bytes).head, head);
  }
  assertEquals(readPrior(writePrior(tinyPrior())).head, undefined);
});

Deno.test("a head that is damaged in its file is refused by what is wrong with it", () => {
  const { tensors, metadata } = readSafetensors(writePrior(withHead()), "prior");
  const refuse = (change: (tensors: StateDict, metadata: Record<string, string>) => void, message: string) => {
    const changed: StateDict = new Map(tensors), facts = { ...metadata };
    change(changed, facts);
    const { message: found } = assertThrows(() => readPrior(writeSafetensors(changed, facts)), FormatError);
    assert(found.includes(message), found);
  };
  const put = (name: string, data: Float32Array) => (to: StateDict) =>
    void to.set(name, float32Tensor([data.length], data));
  refuse((to) => void to.delete("head.mean"), "head.mean cannot be used: there is none");
  refuse((to) => void to.delete("head.outputs"), "head.outputs cannot be used");
  refuse(put("head.variance", HEAD.variance.slice(1)), "15 float32 are required");
  refuse(put("head.variance", HEAD.variance.map((x, i) => i === 7 ? -x : x)), "element 7 of its head's variance");
  refuse(put("head.mean", HEAD.mean.map((x, i) => i === 2 ? NaN : x)), "element 2 of head.mean is NaN");
  refuse((_, facts) => void (facts["head.classes"] = '["cat", "dog"]'), "15 weights and biases for 2 classes");
  refuse((_, facts) => void (facts["head.classes"] = "[1, 2, 3]"), "no JSON list of names");
  refuse((_, facts) => void (facts["convention.head"] = "precisions"), '"precisions"');
});

Deno.test("four files have no place for a head", () => {
  assertThrows(() => writePriorParts(withHead()), TypeError, "no place for the head's");
});

Deno.test("scaleHead() multiplies variances and refuses what leaves none", () => {
  assertEquals(scaleHead(HEAD, 4).variance, HEAD.variance.map((value) => 4 * value));
  for (const scale of [0, -1, NaN, Infinity, 1e-50]) assertThrows(() => scaleHead(HEAD, scale), RangeError, "positive");
});

Deno.test("requireHeadClasses() names the first class that is another", () => {
  requireHeadClasses(HEAD, ["cat", "dog", "emu"], "pets");
  assertThrows(() => requireHeadClasses(HEAD, ["cat", "dog"], "pets"), TypeError, "3 classes: pets has 2");
  assertThrows(() => requireHeadClasses(HEAD, ["cat", "emu", "dog"], "pets"), TypeError, 'class 1 is "dog"');
});

import { assert, assertAlmostEquals, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { centreOffset, drawView, type ViewKey } from "../../lib/data/augmentation/draw.ts";
import { VIEW_PARAMETERS, viewWeights, weightTable, writeDraw } from "../../lib/data/augmentation/table.ts";
import type { View } from "../../lib/data/augmentation/view.ts";
import { type ViewBatch, viewBatches } from "../../lib/data/augmentation/views.ts";
import { resampleWeights } from "../../lib/data/resample_weights.ts";
import { countingSet } from "./helpers.ts";

const SIZE = { height: 40, width: 30 };
const KEY = { seed: 3, step: 2, example: 7, view: 1 };
const VIEW: View = {
  height: 24,
  width: 24,
  resize: { kind: "random-resized-crop", scale: [0.2, 0.6], ratio: [3 / 4, 4 / 3], filter: "bilinear" },
  rotation: { degrees: 20, interpolation: "nearest" },
  horizontalFlip: 0.5,
  verticalFlip: 0.25,
  jitter: { probability: 0.8, brightness: 0.4, contrast: 1.5, saturation: 0.2, hue: 0.1 },
  grey: 0.2,
  blur: { probability: 0.3, kernel: 3, sigma: [0.1, 2] },
  solarise: { probability: 0.1, threshold: 0.5 },
};
const DRAWS = Array.from({ length: 4000 }, (_, example) => drawView(VIEW, SIZE, { ...KEY, example }));

/** Share of the draws, asserted to be within 4 standard deviations of a probability. */
function assertShare(what: string, count: number, of: number, probability: number): void {
  assertAlmostEquals(count / of, probability, 4 * Math.sqrt(probability * (1 - probability) / of), what);
}

Deno.test("drawView() is a function of seed, step, example and view, and differs where one of them does", () => {
  const draw = (key: Partial<ViewKey>) => drawView(VIEW, SIZE, { ...KEY, ...key });
  assertEquals(draw({}), draw({}));
  for (const other of [{ seed: 4 }, { step: 3 }, { example: 8 }, { view: 0 }]) assertNotEquals(draw(other), draw({}));
});

Deno.test("drawView() does each thing as often as it is told to", () => {
  const count = (what: (draw: typeof DRAWS[0]) => boolean) => DRAWS.filter(what).length;
  assertShare("horizontal flip", count((draw) => draw.horizontalFlip), DRAWS.length, 0.5);
  assertShare("vertical flip", count((draw) => draw.verticalFlip), DRAWS.length, 0.25);
  assertShare("jitter", count(({ changes }) => changes.length === 4), DRAWS.length, 0.8);
  assertShare("grey", count(({ grey }) => grey), DRAWS.length, 0.2);
  assertShare("blur", count(({ sigma }) => sigma > 0), DRAWS.length, 0.3);
  assertShare("solarisation", count(({ threshold }) => threshold === 0.5), DRAWS.length, 0.1);
});

Deno.test("drawView() keeps within its bounds and reaches near them", () => {
  const range = (values: readonly number[]) => [Math.min(...values), Math.max(...values)];
  const assertRange = (values: readonly number[], least: number, most: number) => {
    const [low, high] = range(values), margin = (most - least) / 50;
    assert(low >= least && low < least + margin && high <= most && high > most - margin, `${[low, high]}`);
  };
  const factors = (kind: string) =>
    DRAWS.flatMap(({ changes }) => changes.filter((change) => change.kind === kind).map(({ factor }) => factor));
  assertRange(factors("brightness"), 0.6, 1.4);
  assertRange(factors("contrast"), 0, 2.5);
  assertRange(factors("saturation"), 0.8, 1.2);
  assertRange(factors("hue"), -0.1, 0.1);
  assertRange(DRAWS.map(({ angle }) => angle), -20, 20);
  assertRange(DRAWS.filter(({ sigma }) => sigma > 0).map(({ sigma }) => sigma), 0.1, 2);
  // A window has whole sides, so that its area may miss the bound by half a row or column.
  assertRange(DRAWS.map(({ box }) => box.width * box.height / 1200), 0.195, 0.61);
  for (const { box, left, top } of DRAWS) {
    assert(box.left >= 0 && box.top >= 0 && box.left + box.width <= 30 && box.top + box.height <= 40);
    assertEquals([left, top], [0, 0]);
  }
});

Deno.test("drawView() takes the 24 orders of the changes equally often", () => {
  const orders = new Map<string, number>();
  for (const { changes } of DRAWS) {
    if (changes.length === 0) continue;
    const order = changes.map(({ kind }) => kind).join();
    orders.set(order, (orders.get(order) ?? 0) + 1);
  }
  assertEquals(orders.size, 24);
  const total = [...orders.values()].reduce((a, b) => a + b);
  for (const [order, count] of orders) assertShare(order, count, total, 1 / 24);
});

Deno.test("drawView() spreads a random window over the padded image, and refuses one that does not fit", () => {
  const view: View = { height: 8, width: 8, window: { kind: "random", padding: 2 } };
  const size = { height: 8, width: 10 };
  const draws = Array.from({ length: 1000 }, (_, example) => drawView(view, size, { ...KEY, example }));
  assertEquals(new Set(draws.map(({ top }) => top)), new Set([-2, -1, 0, 1, 2]));
  assertEquals(new Set(draws.map(({ left }) => left)), new Set([-2, -1, 0, 1, 2, 3, 4]));
  assertThrows(
    () => drawView({ ...view, height: 13 }, size, KEY),
    RangeError,
    "Cannot cut 13 pixels out of 8 with a padding of 2",
  );
});

Deno.test("centreOffset() rounds halves to even, as Python's round() does", () => {
  assertEquals([[8, 5], [9, 4], [6, 6], [7, 6], [11, 6], [4, 7], [5, 8]].map(([from, to]) => centreOffset(from, to)), [
    2,
    2,
    0,
    0,
    2,
    -1,
    -1,
  ]);
});

Deno.test("weightTable() holds the weights of every size", () => {
  const { shape, values, firstFrom } = weightTable(3, 20, 7, "bicubic");
  assertEquals([firstFrom, shape[0], shape[1]], [3, 18, 7]);
  for (const from of [3, 7, 20]) {
    const { first, count, values: weights, taps } = resampleWeights(from, 7, "bicubic");
    for (let position = 0; position < 7; position++) {
      const entry = values.subarray(((from - 3) * 7 + position) * shape[2]);
      assertEquals([entry[0], entry[1]], [first[position], count[position]]);
      assertEquals(entry.slice(2, 2 + entry[1]), weights.slice(position * taps, position * taps + count[position]));
    }
  }
});

Deno.test("viewWeights() has one size where the whole image is resized, and none where nothing is", () => {
  const whole = viewWeights({ ...VIEW, resize: { kind: "whole", height: 30, width: 28, filter: "bilinear" } }, SIZE)!;
  assertEquals([whole.horizontal.shape[0], whole.horizontal.shape[1], whole.horizontal.firstFrom], [1, 28, 30]);
  assertEquals([whole.vertical.shape[0], whole.vertical.shape[1], whole.vertical.firstFrom], [1, 30, 40]);
  assertEquals(viewWeights({ height: 8, width: 8 }, SIZE), undefined);
});

const SET = countingSet(Array.from({ length: 11 }, (_, index) => index % 4), 4);
const SMALL: View = { height: 2, width: 2, window: { kind: "random", padding: 1 }, horizontalFlip: 0.5 };

/** A batch, copied: its arrays are used again. */
function copied({ images, parameters, labels, ...facts }: ViewBatch): ViewBatch {
  const tables = parameters.map((table) => table.slice());
  return { images: images.map((bytes) => bytes.slice()), parameters: tables, labels: labels.slice(), ...facts };
}

Deno.test("viewBatches() names the image that each row is made of, view by view, in each group", () => {
  const sequence = viewBatches(SET, [[SMALL, SMALL], [{ ...SMALL, height: 1 }]], { batchSize: 4, seed: 1 });
  const { images: [images], parameters, examples, labels } = sequence.batchAt(0);
  assertEquals(parameters.map(({ length }) => length / VIEW_PARAMETERS), [8, 4]);
  for (const table of parameters) {
    for (let row = 0; row < table.length / VIEW_PARAMETERS; row++) {
      assertEquals(table[row * VIEW_PARAMETERS], row % 4);
    }
  }
  assertEquals([...examples], [0, 1, 2, 3].map((row) => images[row * 18] - 1));
  assertEquals([...labels], [...examples].map((example) => example % 4));
});

Deno.test("viewBatches() draws each view of each example by itself, as drawView() does", () => {
  const sequence = viewBatches(SET, [[SMALL, SMALL], [SMALL]], { batchSize: 4, seed: 9 });
  const { parameters, examples } = sequence.batchAt(5);
  [0, 1, 2].forEach((view) => {
    examples.forEach((example, row) => {
      const expected = new Float32Array(VIEW_PARAMETERS);
      writeDraw(expected, 0, row, drawView(SMALL, SET, { seed: 9, step: 5, example, view }));
      const table = parameters[view < 2 ? 0 : 1], at = ((view < 2 ? view : 0) * 4 + row) * VIEW_PARAMETERS;
      assertEquals(table.slice(at, at + VIEW_PARAMETERS), expected);
    });
  });
});

Deno.test("viewBatches() is a pure function of the step", () => {
  const make = () => viewBatches(SET, [[SMALL, SMALL]], { batchSize: 4, seed: 2 ** 40 + 3 });
  const whole = make(), straight = [0, 1, 2, 3, 4, 5].map((step) => copied(whole.batchAt(step)));
  for (const step of [5, 0, 3]) {
    assertEquals(copied(make().batchAt(step)), straight[step]);
    assertEquals(copied(whole.batchAt(step)), straight[step]);
  }
  assertNotEquals(straight[0].parameters, straight[1].parameters);
});

Deno.test("viewBatches() refuses views that cannot be one batch, and too many", () => {
  const make = (groups: View[][]) => viewBatches(SET, groups, { batchSize: 4, seed: 1 });
  assertThrows(() => make([[SMALL, { ...SMALL, width: 3 }]]), RangeError, "views that agree");
  assertThrows(() => make([[]]), RangeError, "views that agree");
  assertThrows(() => make([Array(9).fill(SMALL), Array(8).fill(SMALL)]), RangeError, "at most 16");
});

import { assertThrows } from "@std/assert";
import { crossEntropyRows, type RowTargets } from "../../lib/ops/cross_entropy_rows.ts";
import { scratch, type Tensor } from "../../lib/ops/operation.ts";
import { operandsOf, recorded } from "../fixtures/fixture.ts";
import { gpuTests, runOperation } from "../gpu/harness.ts";
import { crossEntropyRows as twin } from "../reference/cross_entropy_rows.ts";
import type { Operands } from "../reference/twin.ts";
import { tensor } from "../reference/tensor.ts";
import { assertClose, fixturesOf, mapped, normal, plus, WAYS } from "./helpers.ts";
import { earlierGradient } from "../gpu/harness.ts";

/** float32 exponentials are good to some units in the last place (WGSL allows 3 + 2|x|). */
const TOLERANCE = 5e-6;

const gpuTest = gpuTests();

interface Config {
  readonly first?: boolean;
  readonly shift?: number;
  readonly withoutSelf?: boolean;
  /** Every third row has no label. */
  readonly labelled?: boolean;
  /** Rows are of so many classes, and the last one of a class of its own. */
  readonly classes?: number;
}

function caseOf(operands: Operands, { first, shift, withoutSelf }: Config) {
  const targetsOf = ({ targets, labels, classes }: Readonly<Record<string, Tensor>>): RowTargets =>
    classes
      ? { kind: "peers", classes }
      : labels
      ? { kind: "labels", labels }
      : first
      ? { kind: "first" }
      : shift === undefined
      ? { kind: "soft", targets: targets! }
      : { kind: "shifted", shift, withoutSelf };
  return {
    operands: Object.fromEntries(Object.entries(operands).map(([name, value]) => [name, { value }])),
    build: ({ logits, ...given }: Readonly<Record<string, Tensor>>) =>
      crossEntropyRows("loss", logits, targetsOf(given)),
  };
}

for (const [name, fixture] of fixturesOf("cross_entropy_rows")) {
  gpuTest(`${name}: crossEntropyRows() and its gradient equal PyTorch's`, async (gpu) => {
    const test = caseOf(operandsOf(fixture), fixture.config);
    const { output, gradients } = await runOperation(gpu, { ...test, dOutput: recorded(fixture, "dOutput") });
    assertClose("output", output, recorded(fixture, "output"), TOLERANCE);
    assertClose("dLogits", gradients.logits, recorded(fixture, "dLogits"), TOLERANCE);
  });
}

const CASES: [string, [number, number], Config][] = [
  ["soft targets", [5, 13], {}],
  ["soft targets of width 4", [130, 64], {}],
  ["pairs", [64, 64], { shift: 32, withoutSelf: true }],
  ["pairs of odd width", [70, 70], { shift: 35, withoutSelf: true }],
  ["one pair", [2, 2], { shift: 1, withoutSelf: true }],
  ["the first column", [6, 1], { shift: 0 }],
  ["the first of several columns", [7, 10], { first: true }],
  ["a wide row", [3, 4000], { shift: 5 }],
  ["labels", [7, 12], { labelled: true }],
  ["labels of odd width", [130, 33], { labelled: true }],
  ["peers", [64, 64], { classes: 5 }],
  ["peers of odd width", [37, 37], { classes: 3 }],
  ["no peers", [2, 2], { classes: 1 }],
];

for (const [name, [rows, columns], config] of CASES) {
  gpuTest(`crossEntropyRows() and its gradient equal the f64 twin's: ${name}`, async (gpu) => {
    const logits = mapped(normal([rows, columns], 1), (x) => 4 * x);
    const operands: Operands = config.classes
      ? {
        logits,
        classes: tensor([rows], Array.from({ length: rows }, (_, i) => i === rows - 1 ? 1e6 : i % config.classes!)),
      }
      : config.labelled
      ? { logits, labels: tensor([rows], Array.from({ length: rows }, (_, i) => i % 3 && 1 + (5 * i) % columns)) }
      : config.shift === undefined && !config.first
      ? { logits, targets: mapped(normal([rows, columns], 2), (x) => x * x / columns) }
      : { logits };
    const dOutput = normal([rows], 3);
    const output = twin.forward(operands, config), { logits: gradient } = twin.backward(dOutput, operands, config);
    for (const target of Object.values(WAYS)) {
      const run = { ...caseOf(operands, config), dOutput, target, wanted: ["logits"] };
      const plain = await runOperation(gpu, run);
      assertClose("output", plain.output, output, TOLERANCE);
      assertClose("dLogits", plain.gradients.logits, gradient, TOLERANCE);
      const added = await runOperation(gpu, { ...run, accumulate: true });
      assertClose("added", added.gradients.logits, plus(gradient, earlierGradient(logits.shape)), TOLERANCE);
    }
  });
}

Deno.test("crossEntropyRows() rejects what does not fit", () => {
  const build = (logits: number[], targets: RowTargets) => crossEntropyRows("loss", scratch("logits", logits), targets);
  assertThrows(() => build([3], { kind: "shifted", shift: 0 }), TypeError, "[N, M] is required");
  const soft: RowTargets = { kind: "soft", targets: scratch("targets", [2, 4]) };
  assertThrows(() => build([2, 3], soft), TypeError, "equal shapes are required");
  const labels: RowTargets = { kind: "labels", labels: scratch("labels", [3]) };
  assertThrows(() => build([2, 3], labels), TypeError, "[2] is required");
  const peers: RowTargets = { kind: "peers", classes: scratch("classes", [3]) };
  assertThrows(() => build([2, 3], peers), TypeError, "[N] of [N, N]");
  assertThrows(() => build([2, 2], peers), TypeError, "[N] of [N, N]");
  assertThrows(() => build([2, 3], { kind: "shifted", shift: -1 }), RangeError, "shift is -1");
  const self = (shift: number): RowTargets => ({ kind: "shifted", shift, withoutSelf: true });
  assertThrows(() => build([4, 4], self(4)), RangeError, "another column");
  assertThrows(() => build([5, 4], self(1)), RangeError, "square matrix");
});

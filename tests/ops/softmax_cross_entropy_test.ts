import { assertEquals, assertThrows } from "@std/assert";
import { scratch } from "../../lib/ops/operation.ts";
import { MASKED_LABEL, softmaxCrossEntropy } from "../../lib/ops/softmax_cross_entropy.ts";
import { recorded } from "../fixtures/fixture.ts";
import { gpuTests, runOperation } from "../gpu/harness.ts";
import { NO_LABEL, softmaxCrossEntropy as twin } from "../reference/softmax_cross_entropy.ts";
import { type Tensor, tensor } from "../reference/tensor.ts";
import { assertClose, fixturesOf, normal } from "./helpers.ts";

/** float32 exponentials are good to some units in the last place (WGSL allows 3 + 2|x|), sums run over 300 classes. */
const TOLERANCE = 5e-6;

const gpuTest = gpuTests();

function caseOf(logits: Tensor, labels: ArrayLike<number>, labelSmoothing = 0) {
  return {
    operands: {
      logits: { value: logits },
      labels: { value: tensor([labels.length], labels), layout: "labels" as const },
    },
    build: ({ logits, labels }: Record<string, ReturnType<typeof scratch>>) =>
      softmaxCrossEntropy("loss", logits, labels, { labelSmoothing }),
    dOutput: tensor([3], [1, 0, 0]),
  };
}

/** Rows that count and whose greatest logit is the label's. */
function correctOf(logits: Tensor, labels: ArrayLike<number>): number {
  const classes = logits.shape[1];
  return Array.from(labels).filter((label, row) => {
    const values = logits.data.slice(row * classes, (row + 1) * classes);
    return label !== NO_LABEL && values.indexOf(Math.max(...values)) === label;
  }).length;
}

for (const [name, fixture] of fixturesOf("softmax_cross_entropy")) {
  gpuTest(`${name}: softmaxCrossEntropy() and its gradient equal PyTorch's`, async (gpu) => {
    const logits = recorded(fixture, "logits"), labels = fixture.tensors.get("labels")!.data as Uint32Array;
    const { output, gradients } = await runOperation(gpu, caseOf(logits, labels, fixture.config.smoothing));
    const [sum, correct, counted] = output.data;
    assertEquals(counted, labels.filter((label) => label !== NO_LABEL).length);
    assertEquals(correct, correctOf(logits, labels));
    assertClose("loss", tensor([], [sum / counted]), recorded(fixture, "loss"), TOLERANCE);
    assertClose("dLogits", gradients.logits, recorded(fixture, "dLogits"), TOLERANCE);
  });
}

for (const [batch, classes] of [[1, 2], [5, 1], [129, 3], [1030, 10], [3, 1000], [65, 17]]) {
  for (const smoothing of [0, 0.1]) {
    gpuTest(`softmaxCrossEntropy() equals the f64 twin on [${batch}, ${classes}], ${smoothing}`, async (gpu) => {
      const logits = normal([batch, classes], 1);
      const labels = Array.from({ length: batch }, (_, i) => i % 5 === 3 ? MASKED_LABEL : (i * 7) % classes);
      const expected = twin(logits, labels, smoothing);
      const { output, gradients } = await runOperation(gpu, caseOf(logits, labels, smoothing));
      const counted = labels.filter((label) => label !== MASKED_LABEL).length;
      assertEquals(output.data[2], counted);
      assertEquals(output.data[1], correctOf(logits, labels));
      assertClose("loss", tensor([], [output.data[0] / counted]), tensor([], [expected.loss]), TOLERANCE);
      assertClose("dLogits", gradients.logits, expected.dLogits, TOLERANCE);
    });
  }
}

gpuTest("softmaxCrossEntropy() of rows that are all masked is zero, and so is its gradient", async (gpu) => {
  const { output, gradients } = await runOperation(gpu, caseOf(normal([3, 4], 1), Array(3).fill(MASKED_LABEL), 0.1));
  assertEquals([...output.data], [0, 0, 0]);
  assertEquals([...gradients.logits.data], Array(12).fill(0));
});

for (const bad of [NaN, Infinity]) {
  for (const place of [0, 2]) {
    gpuTest(`softmaxCrossEntropy() of a logit ${bad} at ${place} is NaN, unless its row is masked`, async (gpu) => {
      const logits = tensor([2, 3], [...[0, 1, 2].map((c) => c === place ? bad : c), 3, 1, 2]);
      const shown = await runOperation(gpu, caseOf(logits, [1, 0]));
      assertEquals(shown.output.data[0], NaN);
      assertEquals(shown.output.data[2], 2);
      assertEquals([...shown.gradients.logits.data.slice(0, 3)].some(Number.isNaN), true);
      const masked = await runOperation(gpu, caseOf(logits, [MASKED_LABEL, 0]));
      const expected = twin(tensor([1, 3], [3, 1, 2]), [0]);
      assertClose("loss", tensor([], [masked.output.data[0]]), tensor([], [expected.loss]), TOLERANCE);
      assertEquals([...masked.gradients.logits.data.slice(0, 3)], [0, 0, 0]);
    });
  }
}

gpuTest("softmaxCrossEntropy() takes a class of probability 0 (a logit of -Infinity)", async (gpu) => {
  const { output, gradients } = await runOperation(gpu, caseOf(tensor([1, 3], [1, -Infinity, 2]), [0]));
  const expected = twin(tensor([1, 2], [1, 2]), [0]);
  assertClose("loss", tensor([], [output.data[0]]), tensor([], [expected.loss]), TOLERANCE);
  const [first, second] = expected.dLogits.data;
  assertClose("dLogits", gradients.logits, tensor([1, 3], [first, 0, second]), TOLERANCE);
});

gpuTest("softmaxCrossEntropy() refuses logits that another operation uses as well", async (gpu) => {
  let message = "";
  await runOperation(gpu, { ...caseOf(normal([2, 3], 1), [0, 1]), accumulate: true }).catch((e) => message = e.message);
  assertEquals(message.includes("the loss to be their only consumer is required"), true, message);
});

Deno.test("softmaxCrossEntropy() rejects what does not fit", () => {
  const build = (logits: number[], labels: number[], labelSmoothing?: number) =>
    softmaxCrossEntropy("loss", scratch("logits", logits), scratch("labels", labels), { labelSmoothing });
  assertThrows(() => build([2, 3], [3]), TypeError, "[B, classes] and [B] are required");
  assertThrows(() => build([2, 1, 1, 3], [2]), TypeError, "[B, classes] and [B] are required");
  for (const smoothing of [-0.1, 1, NaN]) {
    assertThrows(() => build([2, 3], [2], smoothing), RangeError, `label smoothing is ${smoothing}`);
  }
});

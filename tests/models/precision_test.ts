/**
 * Whole networks in mixed precision against PyTorch. How far f16 storage takes any correct program from the exact result
 * is recorded (`write_half_storage.py`: PyTorch in float64, rounding what is stored): errors here must be of that size.
 *
 * @module
 */

import { assert } from "@std/assert";
import { type KernelSchedule, openGpu } from "../../lib/gpu/device.ts";
import { submitLaunches } from "../../lib/gpu/launch.ts";
import { lowerBackward, lowerForward } from "../../lib/graph/graph.ts";
import { packActivations } from "../../lib/graph/precision.ts";
import { compile } from "../../lib/graph/program.ts";
import { targetOf, type Tensor } from "../../lib/ops/operation.ts";
import { type CheckedTensor, readNetwork, relativeError, relativeNormError } from "../fixtures/network.ts";
import recorded from "../fixtures/networks/half_storage.json" with { type: "json" };
import { distance, prepare } from "./network.ts";

/**
 * Two programs round other units, so that the norms of their errors differ like those of two draws of one law. A single
 * parameter's gradient is known at 64 elements where it is large, so the greatest of its errors scatters more.
 */
const SPREAD = 1.5, SPREAD_OF_GREATEST = 2.5;

/**
 * Whether most of the elements at which a gradient is known say anything: images of one pixel leave all taps but the
 * middle one of a 3 x 3 kernel without a gradient. Of layer4.2.conv2 of resnet50 10 of 64 are not zero, and the error of
 * one decides: 0.7, 0.8 and 1.0 under three orders of summation.
 */
function isKnown({ values }: CheckedTensor): boolean {
  return 2 * values.filter((value) => value !== 0).length >= values.length;
}

/** What mixed precision does to a network: relative errors, of each kind of result. */
async function errorsOf(name: keyof typeof recorded, schedule: KernelSchedule, lossScale: number) {
  const fixture = readNetwork(name);
  using gpu = await openGpu({ schedule });
  const network = prepare(gpu, fixture, { fused: true, lossScale });
  const { graph, vectors, gradients, externals, logits, totals } = network;
  const target = targetOf(gpu, { training: true }), keep = [logits, totals];
  const launches = packActivations(graph, [...lowerForward(graph, target), ...lowerBackward(graph, target)], keep);
  const program = await compile(gpu, launches, { label: "mixed", vectors, gradients, externals, keep });
  submitLaunches(gpu, "mixed", program.launches);
  const read = async (tensor: Tensor) => {
    const { buffer, offset, size } = program.rangeOf(tensor);
    return new Float32Array(await gpu.read(buffer, offset, size));
  };
  const parts = await Promise.all([gradients.backbone, gradients.head].map(async (vector) => {
    const values = (await vector.read()).map((value) => value / lossScale);
    return vector.layout.entries.map((entry) =>
      [entry.name, values.subarray(entry.torchOffset, entry.torchOffset + entry.size)] as const
    );
  }));
  const found = new Map(parts.flat());
  const [sum, , count] = await read(totals);
  const state = await vectors.state.read();
  return {
    logits: distance(await read(logits), fixture.logits.data),
    loss: Math.abs(sum / count - fixture.loss) / fixture.loss,
    gradients: fixture.gradients.map((gradient) => {
      const error = isKnown(gradient) ? relativeError : relativeNormError;
      return error(found.get(gradient.name)!, gradient);
    }).sort((a, b) => a - b),
    buffers: Math.max(...fixture.buffers.map((buffer) => {
      const { torchOffset, size } = vectors.state.layout.entries.find((entry) => entry.name === buffer.name)!;
      return relativeError(state.subarray(torchOffset, torchOffset + size), buffer);
    })),
  };
}

const median = (sorted: readonly number[]) => sorted[sorted.length >> 1];

for (
  const [name, schedule] of [["resnet20", "cpu"], ["resnet20", "gpu"], ["resnet18", "cpu"], [
    "resnet50",
    "cpu",
  ]] as const
) {
  Deno.test(`${name} in mixed precision, schedule ${schedule}: as far from PyTorch as f16 storage itself`, async () => {
    const errors = await errorsOf(name, schedule, 65536), own = recorded[name];
    const within = (what: string, error: number, bound: number) =>
      assert(error < bound, `${what}: ${error}, not ${bound}`);
    within("logits", errors.logits, SPREAD * own.logits);
    within("running statistics", errors.buffers, SPREAD_OF_GREATEST * own.buffers);
    within("median of the gradients", median(errors.gradients), SPREAD * own.gradients.median);
    within("greatest of the gradients", errors.gradients.at(-1)!, SPREAD_OF_GREATEST * own.gradients.greatest);
    // A loss is a mean of few logits' differences: their error bounds its own.
    within("loss", errors.loss, 2 * SPREAD * own.logits);
    // f32 would be a thousand times nearer: this is f16.
    assert(median(errors.gradients) > 1e-3);
  });
}

Deno.test("resnet20 in mixed precision without a loss scale loses gradients to underflow", async () => {
  // As if the loss were a millionth: f16 ends at 6e-8.
  const scaled = await errorsOf("resnet20", "cpu", 65536), unscaled = await errorsOf("resnet20", "cpu", 2 ** -20);
  // The head's gradient comes from the logits', which stay f32.
  assert(median(unscaled.gradients) > 0.5, `the median gradient differs by ${median(unscaled.gradients)}`);
  assert(median(scaled.gradients) < 0.1);
});

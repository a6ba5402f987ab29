/**
 * A network on the device against what PyTorch recorded: logits in both modes, loss, every gradient and every running
 * statistic.
 *
 * @module
 */

import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { Gpu } from "../../lib/gpu/device.ts";
import type { OnnxNetwork } from "../../lib/onnx/network.ts";
import { relativeError } from "../fixtures/network.ts";
import type { OnnxFixture } from "../fixtures/onnx_model.ts";
import { distance, runNetwork } from "./compare.ts";

/**
 * Gradients below this share of the largest are zero but for rounding: of a bias before a normalisation, of keys' bias.
 * In float32 what is left of a sum of thousands of terms that cancel is a few times 2^-24 of them.
 */
const ZERO = 1e-6, ROUNDED_ZERO = 5e-6;

/** What PyTorch recorded. */
export type Recorded = Pick<
  OnnxFixture,
  "images" | "labels" | "evalLogits" | "logits" | "loss" | "gradients" | "statistics"
>;

/** Asserts that a network agrees with a record, by its parameters' names; returns its logits in evaluation mode. */
export async function assertAgrees(gpu: Gpu, network: OnnxNetwork, recorded: Recorded): Promise<Float32Array> {
  const found = await runNetwork(gpu, network, recorded);
  // The bounds are 1e-4 for logits and 1e-3 for gradients, of which PyTorch's own float32 takes 3e-4 at worst.
  const evaluated = distance(found.evalLogits, recorded.evalLogits.data);
  assert(evaluated < 1e-5, `logits in evaluation differ by ${evaluated}`);
  const trained = distance(found.logits, recorded.logits.data);
  assert(trained < 1e-4, `logits in training differ by ${trained}`);
  assertAlmostEquals(found.loss, recorded.loss, 1e-4 * recorded.loss);
  const largest = Math.max(...recorded.gradients.map(({ norm }) => norm));
  assertEquals([...found.gradients.keys()].sort(), recorded.gradients.map(({ name }) => name).sort());
  for (const gradient of recorded.gradients) {
    const values = found.gradients.get(gradient.name)!, isZero = gradient.norm < ZERO * largest;
    const error = isZero ? Math.hypot(...values) / largest : relativeError(values, gradient);
    assert(error < (isZero ? ROUNDED_ZERO : 1e-3), `the gradient of ${gradient.name} differs by ${error}`);
  }
  // They hold the momentum of each file's normalisations: MobileNet's is 0.01.
  assertEquals([...found.statistics.keys()].sort(), [...recorded.statistics.keys()].sort());
  for (const [name, norm] of recorded.statistics) {
    const error = Math.abs(Math.hypot(...found.statistics.get(name)!) / norm - 1);
    assert(error < 1e-5, `${name} differs by ${error}`);
  }
  return found.evalLogits;
}

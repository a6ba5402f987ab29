/**
 * What can be read off features: nearest neighbours by similarities from the device against all of them one after another
 * on the host, and a linear classifier by gradients from the device against those of the host.
 *
 * deno run -A tests/bench/nearest_neighbours.ts [EXAMPLES QUERIES WIDTH] [--device-only]
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { assertEquals } from "@std/assert";
import { fitProbe, logisticGradient, Standardisation } from "../../lib/evaluation/linear_probe.ts";
import type { LabelledFeatures } from "../../lib/evaluation/nearest_neighbours.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { probeWeights } from "../../lib/inference/linear_probe.ts";
import { neighbourClasses } from "../../lib/inference/nearest_neighbours.ts";
import { hashedValues } from "../reference/hashed.ts";
import { neighbourClasses as reference } from "../reference/nearest_neighbours.ts";

const CLASSES = 10;

/** Features about the centres of classes. */
function features(count: number, width: number, seed: number): LabelledFeatures {
  const labels = Uint32Array.from({ length: count }, (_, i) => i % CLASSES);
  const centres = hashedValues(1, CLASSES * width, 1), noise = hashedValues(seed, count * width, 4);
  return {
    features: Float32Array.from(
      noise,
      (value, i) => value + centres[labels[Math.floor(i / width)] * width + i % width],
    ),
    labels,
  };
}

async function timed<T>(what: string, run: () => T | Promise<T>): Promise<T> {
  const start = performance.now(), result = await run();
  console.log(`${what}: ${((performance.now() - start) / 1000).toFixed(2)} s`);
  return result;
}

const [size = 5000, count = 1000, width = 512] = Deno.args.filter((arg) => !arg.startsWith("-")).map(Number);
const bank = features(size, width, 2), queries = features(count, width, 3), options = { numClasses: CLASSES };
const gpu = await openGpu();
console.log(
  `${gpu.adapter.description || gpu.adapter.device}: ${count} queries among ${size} examples of ${width} features`,
);
// What compiles kernels.
await timed("device, the first time", () => neighbourClasses(gpu, bank, queries, options));
const found = await timed("device", () => neighbourClasses(gpu, bank, queries, options));
if (!Deno.args.includes("--device-only")) {
  const expected = await timed("host", () => reference(bank, queries, options));
  assertEquals([...found], expected);
  console.log("the same classes");
}
const scales = new Standardisation(bank.features, width);
const examples = { features: scales.apply(bank.features), labels: bank.labels };
await timed("linear classifier, device, the first time", () => probeWeights(gpu, examples, { ...options, steps: 1 }));
const weights = await timed("linear classifier, device", () => probeWeights(gpu, examples, options));
if (!Deno.args.includes("--device-only")) {
  const gradientOf = (at: Float64Array) => logisticGradient(examples.features, examples.labels, at, CLASSES);
  const expected = await timed("linear classifier, host", () => fitProbe(gradientOf, width, options));
  const worst = expected.reduce((most, weight, i) => Math.max(most, Math.abs(weight - weights[i])), 0);
  console.log(`weights up to ${Math.max(...expected).toFixed(3)}, apart by at most ${worst.toExponential(1)}`);
}
gpu.destroy();

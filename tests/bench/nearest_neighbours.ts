/**
 * Nearest neighbours by similarities from the device against all of them one after another on the host.
 *
 * deno run -A tests/bench/nearest_neighbours.ts [EXAMPLES QUERIES WIDTH] [--device-only]
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { assertEquals } from "@std/assert";
import type { LabelledFeatures } from "../../lib/evaluation/nearest_neighbours.ts";
import { openGpu } from "../../lib/gpu/device.ts";
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
gpu.destroy();

/**
 * A prior at the size of the published ones: reading its four files, and one pass of a step under it.
 *
 * `python3 tests/bench/published_prior.py /tmp/resnet50 && deno run -A tests/bench/published_prior.ts /tmp/resnet50 resnet50`
 *
 * Prints one JSON object. Memory is the process's largest resident set, which Linux keeps in /proc. Exits with 1 where
 * reading takes more than 10 s or more than 1.3 times the files.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { Control } from "../../lib/gpu/control.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { copyBandwidth } from "../../lib/gpu/peaks.ts";
import { FlatVector } from "../../lib/graph/vector.ts";
import { controlOf, type SamplerSettings } from "../../lib/inference/samplers.ts";
import { FlatUpdate } from "../../lib/inference/update.ts";
import { layoutModel } from "../../lib/models/device_model.ts";
import { DeviceGaussian } from "../../lib/priors/device_gaussian.ts";
import { shiftedGaussian } from "../../lib/priors/gaussian.ts";
import { timeLaunches } from "../../tasks/bench/operation.ts";
import { readPriorAt } from "../../tasks/commands/prior_files.ts";

const PARTS = ["model", "mean", "variance", "covmat"];
const ROUNDS = 5;
/** Seconds, and multiples of the files' size, that reading may take. */
const MOST_SECONDS = 10, MOST_MEMORY = 1.3;

function largestResidentSet(): number {
  return 1024 * Number(/VmHWM:\s+(\d+)/.exec(Deno.readTextFileSync("/proc/self/status"))![1]);
}

if (import.meta.main) {
  const [prefix, encoder] = Deno.args;
  const files = PARTS.reduce((sum, part) => sum + Deno.statSync(`${prefix}_${part}.pt`).size, 0);
  const before = largestResidentSet();
  const start = performance.now();
  let rows = "stated";
  const { swag } = await readPriorAt(prefix, { consume: true, onNormalisation: (found) => void (rows = found) });
  const loading = performance.now() - start;
  const peak = largestResidentSet();

  using gpu = await openGpu();
  const layout = layoutModel({ encoder, numClasses: 10, height: 224, width: 224 }, gpu.maxBindingBytes).backbone;
  const copy = await copyBandwidth(gpu, 4 * layout.paddedCount);
  const gaussian = shiftedGaussian(swag, { scale: 1, eps: 1e-6 });
  const prior = new DeviceGaussian(gpu, layout, gaussian);
  const theta = new FlatVector(gpu, "theta", layout), gradient = new FlatVector(gpu, "gradient", layout);
  theta.write(swag.mean);
  const control = new Control(gpu, "bench");
  const settings: SamplerSettings = {
    sampler: "sgd",
    momentum: 0,
    temperature: 0,
    numData: 1000,
    priorStep: "explicit",
  };
  const streams = { stream: 1, anchorStream: 3 };
  const update = await FlatUpdate.create(gpu, control, {
    label: "bench",
    sampler: "sgd",
    theta,
    gradient,
    prior,
    priorStep: "explicit",
    ...streams,
  });
  const values = controlOf(settings, { seed: 1, chain: 0, step: 0, learningRate: 1e-9, noisy: false });
  control.write(values);
  const pass = await timeLaunches(gpu, update.launches(values.priorStep!), ROUNDS);
  const rank = gaussian.rows.length;
  // Two passes over theta, mean, Psi and the rows; the second also reads the gradient and writes theta and velocity.
  const floats = 2 * (3 + rank) + 4;
  console.log(JSON.stringify({
    adapter: gpu.adapter.description,
    files,
    parameters: swag.mean.length,
    rows,
    rank,
    loadSeconds: loading / 1000,
    residentBefore: before,
    peakResident: peak,
    peakOverFiles: peak / files,
    gradientMilliseconds: pass.median,
    shareOfCopy: 4 * floats * swag.mean.length / pass.median * 1000 / copy,
  }));
  [update, prior, theta, gradient, control].forEach((part) => part.destroy());
  if (loading > 1000 * MOST_SECONDS || peak > MOST_MEMORY * files) Deno.exitCode = 1;
}

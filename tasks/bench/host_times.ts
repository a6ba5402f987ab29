/**
 * A process that trains, and says how long it takes to encode and submit each step, in milliseconds: see `samplers.ts`.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { openGpu } from "../../lib/gpu/device.ts";
import { openOwn } from "./peers/swagpu.ts";
import { makeProblem } from "./problem.ts";

const STEPS = 24;

if (import.meta.main) {
  const [encoder, batch, size] = Deno.args;
  using gpu = await openGpu();
  const trainer = await openOwn(gpu, makeProblem(encoder, Number(batch), Number(size)));
  await trainer.steps(1);
  const times: number[] = [];
  for (let step = 0; step < STEPS; step++) {
    const start = performance.now();
    trainer.submit();
    times.push(performance.now() - start);
    // The device is waited for, or else its queue would be what is timed.
    await trainer.steps(1);
  }
  console.log(JSON.stringify(times));
  await trainer.close();
}

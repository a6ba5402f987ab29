/**
 * A process that takes one training step and says so: see `start.ts`.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { openGpu } from "../../lib/gpu/device.ts";
import { openOwn } from "./peers/swagpu.ts";
import { makeProblem } from "./problem.ts";

if (import.meta.main) {
  const [encoder, batch, size] = Deno.args;
  const marks = [performance.now()];
  const problem = makeProblem(encoder, Number(batch), Number(size));
  using gpu = await openGpu();
  marks.push(performance.now());
  const trainer = await openOwn(gpu, problem);
  marks.push(performance.now());
  await trainer.steps(1);
  marks.push(performance.now());
  console.log(JSON.stringify({
    device: marks[1] - marks[0],
    build: marks[2] - marks[1],
    step: marks[3] - marks[2],
  }));
  await trainer.close();
}

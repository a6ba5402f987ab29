/**
 * This project, as the bench sees it.
 *
 * @module
 */

import config from "../../../deno.json" with { type: "json" };
import type { Gpu } from "../../../lib/gpu/device.ts";
import { type TrainingOptions, TrainingSession } from "../../../lib/inference/training.ts";
import { DeviceModel } from "../../../lib/models/device_model.ts";
import { initialPart } from "../../../lib/models/weights.ts";
import { configOf, NORMALISATION } from "../problem.ts";
import type { Peer, Problem, Trainer } from "./peer.ts";

/** A session on a problem's network and batch. */
export interface OwnTrainer extends Trainer {
  readonly model: DeviceModel;
  /** Encodes and submits one step, and does not wait. */
  submit(): void;
}

/** Opens a session; `extra` adds a prior or another sampler to the plain SGD of the problem. */
export async function openOwn(gpu: Gpu, problem: Problem, extra: Partial<TrainingOptions> = {}): Promise<OwnTrainer> {
  const { batchSize, labels, learningRate, momentum, weights } = problem;
  const model = new DeviceModel(gpu, configOf(problem));
  const { backbone, head } = model.layouts;
  model.write({
    backbone: weights.subarray(0, backbone.count),
    head: weights.subarray(backbone.count, backbone.count + head.count),
    state: initialPart(model.layouts, "state", 0),
  });
  const session = await TrainingSession.create(model, {
    batchSize,
    normalisation: NORMALISATION,
    seed: 1,
    settings: {
      sampler: "sgd",
      momentum,
      temperature: 1,
      numData: 50_000,
      priorStep: "implicit",
    },
    ...extra,
  });
  session.initialise(learningRate);
  const batch = { images: problem.bytes, labels };
  const noisy = extra.settings !== undefined && extra.settings.sampler !== "sgd";
  let step = 0;
  const submit = () => session.submit(step++, batch, learningRate, noisy);
  return {
    model,
    submit,
    async steps(count) {
      let loss = NaN;
      for (let taken = 0; taken < count; taken++) {
        submit();
        if (session.pending === 64 || taken === count - 1) loss = (await session.metrics()).at(-1)!.loss;
      }
      return loss;
    },
    async weights() {
      const now = await model.read();
      const flat = new Float32Array(weights.length);
      flat.set(now.backbone);
      flat.set(now.head, now.backbone.length);
      return flat;
    },
    close() {
      session.destroy();
      model.destroy();
    },
  };
}

/** This project on an open device. */
export function ownPeer(gpu: Gpu): Peer {
  return { name: `swagpu ${config.version}`, trains: () => true, open: (problem) => openOwn(gpu, problem) };
}

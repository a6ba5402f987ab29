import { assert, assertEquals } from "@std/assert";
import {
  estimateLearning,
  learnSelfSupervised,
  type LearnSelfSupervisedOptions,
} from "../../../lib/inference/objectives/learn.ts";
import { estimateNeighbours } from "../../../lib/inference/nearest_neighbours.ts";
import { layoutModel } from "../../../lib/models/device_model.ts";
import { createImageStream } from "../../../lib/data/dataset.ts";
import { estimateSubspace } from "../../../lib/priors/subspace/collector.ts";
import { gpuTests } from "../../gpu/harness.ts";
import { EVALUATION, LARGE, RUN } from "./classified_run.ts";
import { NETWORK } from "./instances.ts";

const gpuTest = gpuTests();

/** What no estimate counts: controls of kernels, rings of losses and the like. */
const SLACK = 1024;

const { images, height, width, labels, classNames } = RUN.train as Extract<typeof RUN.train, { images: Uint8Array }>;
const size = height * width * 3;
const stream = createImageStream({
  name: "boxes",
  classNames,
  labels,
  fit: { size: 32, resize: "crop" },
  identity: "boxes",
  locate: (i) => ({ kind: "pixels", image: { height, width, rgb: images.slice(i * size, (i + 1) * size) } }),
});
const crop = { kind: "random-resized-crop", scale: [0.1, 1], ratio: [3 / 4, 4 / 3], filter: "bicubic" } as const;
const byol = { objective: "byol", settings: { projHidden: 16, projOut: 8, predHidden: 8 }, views: [[LARGE, LARGE]] };

const runs: Readonly<Record<string, LearnSelfSupervisedOptions>> = {
  "prototypes, a queue and small views": { ...RUN, evaluation: EVALUATION },
  "a momentum network and both classifiers": {
    ...RUN,
    ...byol,
    evaluation: { ...EVALUATION, momentumClassifier: true },
  },
  "views out of boxes": {
    ...RUN,
    ...byol,
    train: stream,
    views: [[{ ...LARGE, resize: crop }, { ...LARGE, resize: crop }]],
  },
};

for (const [name, options] of Object.entries(runs)) {
  gpuTest(`estimateLearning() foretells what a run allocates: ${name}`, async (gpu) => {
    const before = gpu.live.bytes, planned = estimateLearning(gpu, options, 9);
    assertEquals(gpu.live.bytes, before);
    const swag = estimateSubspace(layoutModel(NETWORK).backbone, { maxRank: 2 });
    // Neighbours are gone when they are reported.
    const gone = options.evaluation ? estimateNeighbours(gpu, 32, 20, 30) : 0;
    const seen: number[] = [];
    const look = () => void seen.push(gpu.live.bytes - before);
    await learnSelfSupervised(gpu, {
      ...options,
      hooks: { checkpointSteps: 2, onCheckpoint: look, onEvaluation: look },
    });
    assertEquals(gpu.live.bytes, before);
    const expected = planned.total + swag - gone;
    for (const bytes of seen) assert(Math.abs(bytes - expected) <= SLACK, `${bytes} bytes instead of ${expected}`);
  });
}

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { ViewGroup } from "../../../lib/data/augmentation/view_source.ts";
import { viewBatches } from "../../../lib/data/augmentation/views.ts";
import { createImageSet, UNLABELLED } from "../../../lib/data/dataset.ts";
import type { Gpu } from "../../../lib/gpu/device.ts";
import { submitLaunches } from "../../../lib/gpu/launch.ts";
import { headAccuracy } from "../../../lib/inference/linear_classifier.ts";
import { sessionOptionsOf } from "../../../lib/inference/objectives/learn.ts";
import { buildTrainedNetwork } from "../../../lib/inference/objectives/network.ts";
import { OnlineClassifier } from "../../../lib/inference/objectives/online_classifier.ts";
import {
  estimateSelfSupervised,
  layoutObjective,
  SelfSupervisedSession,
} from "../../../lib/inference/objectives/session.ts";
import { pretraining } from "../../../lib/inference/pretraining.ts";
import { constantSwag } from "../../../lib/inference/swag_schedules.ts";
import { DeviceModel } from "../../../lib/models/device_model.ts";
import { initialHead } from "../../../lib/models/initial_head.ts";
import { PhiloxSequence } from "../../../lib/random/philox.ts";
import { gpuTests } from "../../gpu/harness.ts";
import { sgdStep } from "../../reference/updates.ts";
import {
  CLASSES,
  EVALUATION,
  featuresOf,
  gradientOf,
  LARGE,
  learn,
  RUN,
  SMALL,
  weights,
  worst,
} from "./classified_run.ts";
import { firstOf, NETWORK, trainingImages, VIEW } from "./instances.ts";

const gpuTest = gpuTests();

/** The network that is trained on such views. */
const networkOf = (views: readonly ViewGroup[]) =>
  buildTrainedNetwork(sessionOptionsOf({ ...RUN, views }, RUN.batchSize));

/** Runs `body` on a session that trains a classifier along, at twice the backbone's learning rate. */
async function withSession(
  gpu: Gpu,
  views: readonly ViewGroup[],
  body: (session: SelfSupervisedSession, classifier: OnlineClassifier) => Promise<void>,
): Promise<void> {
  const trained = sessionOptionsOf({ ...RUN, views }, RUN.batchSize), layouts = layoutObjective(trained);
  const model = new DeviceModel(gpu, NETWORK, layouts);
  model.write({
    backbone: weights.backbone,
    head: initialHead(layouts.head, 1),
    state: new Float32Array(layouts.state.count).fill(1),
  });
  const session = await SelfSupervisedSession.create(model, {
    ...trained,
    classifier: { numClasses: CLASSES, relativeRate: 2 },
  });
  try {
    await body(session, session.classifier!);
  } finally {
    session.destroy();
    model.destroy();
  }
}

for (const [name, views] of [["one size", [[LARGE, LARGE]]], ["two sizes", [[LARGE, LARGE], [SMALL]]]] as const) {
  gpuTest(`the online classifier takes SGD's steps on the features of views of ${name}`, async (gpu) => {
    const batches = viewBatches(firstOf(trainingImages(), 20), views, { batchSize: 9, seed: 1 });
    await withSession(gpu, views, async (session, classifier) => {
      const first = (await classifier.read()).weights, { buffer, offset, size } = classifier.features;
      let theta: Float64Array = Float64Array.from(first), momentum = new Float64Array(first.length) as Float64Array;
      for (const [step, learningRate] of [0.05, 0.1, 0.02, 0.1, 0.05].entries()) {
        const batch = batches.batchAt(step), made = await featuresOf(session.model, networkOf(views), batch);
        session.submit(step, batch, learningRate, false);
        const features = new Float32Array(await gpu.read(buffer, offset, size));
        assertEquals(features, made);
        const gradient = gradientOf(theta, features, views.flat().flatMap(() => [...batch.labels]));
        ({ theta, buffer: momentum } = sgdStep(theta, momentum, gradient, {
          learningRate: 2 * learningRate,
          momentum: 0.9,
          nesterov: false,
          weightDecay: 0,
        }));
      }
      const { onlineClassifier, onlineClassifierMomentum } = (await session.readState()).memories;
      assert(worst(onlineClassifier, theta) <= 1e-5, `${worst(onlineClassifier, theta)}`);
      assert(worst(onlineClassifierMomentum, momentum) <= 1e-5, `${worst(onlineClassifierMomentum, momentum)}`);
      assert(worst(first, theta) > 0.1, "the steps are too small to be told from none");
    });
  });
}

gpuTest("the online classifier separates clusters of features, by 0.7 beyond chance", async (gpu) => {
  const random = new PhiloxSequence(1, 100), batch = 24, views = 2, classes = 4, width = 6;
  const labels = Uint32Array.from({ length: batch }, (_, row) => row % classes);
  const draw = (rows: number) =>
    Float32Array.from({ length: rows * width }, (_, i) => {
      const column = i % width, row = (i - column) / width;
      return (column === labels[row % batch] ? 2 : 0) + 0.5 * random.normal();
    });
  const offset = 256, size = batch * views * width * 4, buffer = gpu.createBuffer("features", offset + size);
  const left = { shape: [batch * views, width], range: { buffer, offset, size } };
  const classifier = await OnlineClassifier.create(gpu, left, { numClasses: classes, relativeRate: 0.5 }, 1);
  const queries = { features: draw(10 * batch), labels: Uint32Array.from({ length: 10 * batch }, (_, i) => i % 4) };
  for (let step = 0; step < 40; step++) {
    gpu.device.queue.writeBuffer(buffer, offset, draw(batch * views));
    classifier.prepare(step, labels, 0.2);
    submitLaunches(gpu, "step", classifier.launches);
  }
  const accuracy = headAccuracy(queries, await classifier.read());
  assert(accuracy >= 1 / classes + 0.7, `${accuracy}`);
  classifier.destroy();
  gpu.destroyBuffer(buffer);
});

gpuTest(
  "learnSelfSupervised() measures it: images of different colours are told apart, by 0.5 beyond chance",
  async (gpu) => {
    const classes = 4, count = 32, random = new PhiloxSequence(2, 100);
    const labels = Uint32Array.from({ length: count }, (_, i) => i % classes);
    const images = Uint8Array.from({ length: count * 16 * 16 * 3 }, (_, i) => {
      const label = labels[Math.floor(i / (16 * 16 * 3))], isBright = label === 3 || label === i % 3;
      return (isBright ? 160 : 40) + random.below(40);
    });
    const classNames = ["red", "green", "blue", "white"];
    const train = createImageSet({ name: "colours", height: 16, width: 16, classNames, labels, images });
    const view = { height: 16, width: 16, resize: VIEW.resize };
    const { evaluations } = await learn(gpu, {
      ...RUN,
      model: { ...NETWORK, height: 16, width: 16 },
      train,
      views: [[view, view], [{ ...view, height: 8, width: 8 }]],
      batchSize: 16,
      schedule: constantSwag({ learningRate: 0.005, steps: 30, start: 20, interval: 5 }),
      evaluation: { val: train, every: 30 },
    });
    const online = evaluations.map(({ online }) => online!);
    assert(online[1] >= 1 / classes + 0.5 && online[0] <= 1 / classes + 0.25, `${online} before and after`);
  },
);

for (const recompute of [false, true]) {
  gpuTest(
    `the backbone's bits do not depend on the online classifier${recompute ? ", nor where it is recomputed" : ""}`,
    async (gpu) => {
      const without = await learn(gpu, { ...RUN, recompute });
      const beside = await learn(gpu, { ...RUN, recompute, evaluation: { ...EVALUATION, classifierLr: 10 } });
      assertEquals([beside.swag, beside.weights], [without.swag, without.weights]);
      const [, { memories: trained, ...rest }] = beside.checkpoints, [, { memories, ...wanted }] = without.checkpoints;
      const { onlineClassifier, onlineClassifierMomentum, ...others } = trained!;
      assertEquals([rest, others], [wanted, memories]);
      assert([onlineClassifier, onlineClassifierMomentum].every((values) => values.some((value) => value !== 0)));
    },
  );
}

gpuTest("the online classifier goes on from a checkpoint to the same bits", async (gpu) => {
  const whole = await learn(gpu, { ...RUN, evaluation: EVALUATION });
  const [half, end] = whole.checkpoints;
  const resumed = await learn(gpu, { ...RUN, evaluation: EVALUATION }, half);
  assertEquals([resumed.checkpoints, resumed.evaluations], [[end], whole.evaluations.slice(2)]);
  for (const name of ["onlineClassifier", "onlineClassifierMomentum"]) {
    assertNotEquals(half.memories![name], end.memories![name]);
  }
});

gpuTest("images without labels have no online classifier", async (gpu) => {
  const bank = RUN.train, train = { ...bank, classNames: [UNLABELLED], labels: new Uint32Array(20) };
  const { evaluations, checkpoints } = await learn(gpu, { ...RUN, train, evaluation: { ...EVALUATION, bank } });
  assertEquals(evaluations.map((evaluation) => Object.keys(evaluation)), Array(3).fill(["steps", "knn", "linear"]));
  assertEquals(Object.keys(checkpoints[0].memories!).filter((name) => name.startsWith("online")), []);
});

Deno.test("the online classifier's learning rate is its own where the backbone's is highest", () => {
  const schedule = pretraining(
    { learningRate: 0.4, steps: 6, warmup: 2 },
    constantSwag({ learningRate: 0.1, steps: 4 }),
  );
  const rateOf = (classifierLr?: number) =>
    sessionOptionsOf({ ...RUN, schedule, evaluation: { ...EVALUATION, classifierLr } }, 9).classifier?.relativeRate;
  assertEquals([rateOf(), rateOf(0.8), rateOf(0)], [0.1 / 0.4, 2, 0]);
  const still = sessionOptionsOf(
    { ...RUN, schedule: { ...schedule, learningRate: () => 0 }, evaluation: EVALUATION },
    9,
  );
  assertEquals(still.classifier, { numClasses: CLASSES, relativeRate: 0 });
  assertEquals(sessionOptionsOf(RUN, 9).classifier, undefined);
});

gpuTest("estimateSelfSupervised() counts the online classifier", (gpu) => {
  const estimate = (evaluation?: typeof EVALUATION) =>
    estimateSelfSupervised(gpu, sessionOptionsOf({ ...RUN, evaluation }, 9));
  const without = estimate(), beside = estimate(EVALUATION);
  // Weight [24, F] and bias, each padded to 64 numbers.
  const width = 32, vector = 4 * (CLASSES * width + 64);
  for (const part of ["parameters", "gradients", "samplerState"] as const) {
    assertEquals(beside[part] - without[part], vector, part);
  }
  // Features that are kept, labels, logits and their gradient, of 27 rows.
  assert(beside.activations >= without.activations + 27 * 4 * (1 + 2 * CLASSES));
  assertEquals(beside.total - without.total, 3 * vector + beside.activations - without.activations);
});

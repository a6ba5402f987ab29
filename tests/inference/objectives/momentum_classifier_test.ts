/** The linear classifier of the momentum network's features. */

import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { viewBatches } from "../../../lib/data/augmentation/views.ts";
import { UNLABELLED } from "../../../lib/data/dataset.ts";
import { UsageError } from "../../../lib/errors.ts";
import { FeatureSession } from "../../../lib/inference/features.ts";
import { headAccuracy } from "../../../lib/inference/linear_classifier.ts";
import {
  learnSelfSupervised,
  type LearnSelfSupervisedOptions,
  sessionOptionsOf,
} from "../../../lib/inference/objectives/learn.ts";
import { buildTargetNetwork } from "../../../lib/inference/objectives/network.ts";
import {
  estimateSelfSupervised,
  layoutObjective,
  SelfSupervisedSession,
} from "../../../lib/inference/objectives/session.ts";
import { DeviceModel } from "../../../lib/models/device_model.ts";
import { initialHead } from "../../../lib/models/initial_head.ts";
import { gpuTests } from "../../gpu/harness.ts";
import { sgdStep } from "../../reference/updates.ts";
import { CLASSES, EVALUATION, featuresOf, gradientOf, learn, RUN, weights, worst } from "./classified_run.ts";
import { NETWORK } from "./instances.ts";

const gpuTest = gpuTests();

/** Of two large views and a small one, which the momentum network does not see; it follows within the four steps. */
const FOLLOWED: LearnSelfSupervisedOptions = {
  ...RUN,
  objective: "byol",
  settings: { projHidden: 16, projOut: 8, predHidden: 8, baseMomentum: 0.3 },
};
const MOMENTUM = { ...EVALUATION, momentumClassifier: true };

gpuTest(
  "the momentum classifier takes SGD's steps on the momentum network's features of the large views",
  async (gpu) => {
    const batches = viewBatches(RUN.train, RUN.views, { batchSize: 9, seed: 1 });
    const trained = sessionOptionsOf({ ...FOLLOWED, evaluation: { ...MOMENTUM, classifierLr: 0.04 } }, 9);
    const layouts = layoutObjective(trained), model = new DeviceModel(gpu, NETWORK, layouts);
    model.write({
      backbone: weights.backbone,
      head: initialHead(layouts.head, 1),
      state: new Float32Array(layouts.state.count).fill(1),
    });
    const session = await SelfSupervisedSession.create(model, trained), classifier = session.momentumClassifier!;
    try {
      assertEquals(trained.momentumClassifier!.relativeRate, 2);
      const first = (await classifier.read()).weights, { buffer, offset, size } = classifier.features;
      assertNotEquals(first, (await session.classifier!.read()).weights);
      let theta: Float64Array = Float64Array.from(first), momentum = new Float64Array(first.length) as Float64Array;
      for (const [step, learningRate] of [0.05, 0.1, 0.02, 0.1].entries()) {
        const batch = await batches.batchAt(step);
        const made = await featuresOf(session.momentumModel!, buildTargetNetwork(trained)!, batch);
        session.submit(step, batch, learningRate, false);
        const features = new Float32Array(await gpu.read(buffer, offset, size));
        assertEquals(features, made);
        const gradient = gradientOf(theta, features, [...batch.labels, ...batch.labels]);
        ({ theta, buffer: momentum } = sgdStep(theta, momentum, gradient, {
          learningRate: 2 * learningRate,
          momentum: 0.9,
          nesterov: false,
          weightDecay: 0,
        }));
      }
      const { backbone } = await session.momentumModel!.read();
      assert(worst(backbone, Float64Array.from((await model.read()).backbone)) > 1e-4, "the network did not move");
      const { momentumClassifier, momentumClassifierMomentum } = (await session.readState()).memories;
      assert(worst(momentumClassifier, theta) <= 1e-5, `${worst(momentumClassifier, theta)}`);
      assert(worst(momentumClassifierMomentum, momentum) <= 1e-5, `${worst(momentumClassifierMomentum, momentum)}`);
      assert(worst(first, theta) > 0.1, "the steps are too small to be told from none");
    } finally {
      session.destroy();
      model.destroy();
    }
  },
);

gpuTest("the backbone's bits do not depend on the momentum classifier, nor those of the online one", async (gpu) => {
  const without = await learn(gpu, { ...FOLLOWED, evaluation: { ...EVALUATION, classifierLr: 10 } });
  const beside = await learn(gpu, { ...FOLLOWED, evaluation: { ...MOMENTUM, classifierLr: 10 } });
  assertEquals([beside.swag, beside.weights], [without.swag, without.weights]);
  const [, { memories: trained, ...rest }] = beside.checkpoints, [, { memories, ...wanted }] = without.checkpoints;
  const { momentumClassifier, momentumClassifierMomentum, ...others } = trained!;
  assertEquals([rest, others], [wanted, memories]);
  assert([momentumClassifier, momentumClassifierMomentum].every((values) => values.some((value) => value !== 0)));
  const measured = beside.evaluations.map(({ momentum: _, ...evaluation }) => evaluation);
  assertEquals(measured, without.evaluations);
});

gpuTest("learnSelfSupervised() measures the momentum network by its own weights and classifier", async (gpu) => {
  const { checkpoints, evaluations } = await learn(gpu, { ...FOLLOWED, evaluation: MOMENTUM });
  const { memories } = checkpoints[1], { val } = MOMENTUM;
  const layouts = layoutObjective(sessionOptionsOf(FOLLOWED, 9)), model = new DeviceModel(gpu, NETWORK, layouts);
  model.write({
    backbone: memories!.targetBackbone,
    head: memories!.targetHead,
    state: memories!.targetState,
  });
  const features = await FeatureSession.create(model, { batchSize: 9, normalisation: FOLLOWED.normalisation });
  try {
    const head = { weights: memories!.momentumClassifier, numClasses: CLASSES };
    const expected = headAccuracy({ features: await features.features(val), labels: val.labels }, head);
    assertEquals(evaluations.map(({ steps }) => steps), [0, 2, 4]);
    assertEquals(evaluations[2].momentum, expected);
  } finally {
    features.destroy();
    model.destroy();
  }
});

gpuTest("the momentum classifier goes on from a checkpoint to the same bits", async (gpu) => {
  const whole = await learn(gpu, { ...FOLLOWED, evaluation: MOMENTUM });
  const [half, end] = whole.checkpoints;
  const resumed = await learn(gpu, { ...FOLLOWED, evaluation: MOMENTUM }, half);
  assertEquals([resumed.checkpoints, resumed.evaluations], [[end], whole.evaluations.slice(2)]);
  for (const name of ["momentumClassifier", "momentumClassifierMomentum"]) {
    assertNotEquals(half.memories![name], end.memories![name]);
  }
});

gpuTest("the momentum classifier is refused without a momentum network or labels", async (gpu) => {
  assertThrows(
    () => sessionOptionsOf({ ...RUN, evaluation: MOMENTUM }, 9),
    UsageError,
    "objective swav: it has no momentum network; byol, dino, mocov2plus, nnbyol, ressl have one",
  );
  const train = { ...RUN.train, classNames: [UNLABELLED], labels: new Uint32Array(20) };
  await assertRejects(
    () => learnSelfSupervised(gpu, { ...FOLLOWED, train, evaluation: { ...MOMENTUM, bank: RUN.train } }),
    UsageError,
    "Cannot train a momentum classifier from procedural",
  );
});

gpuTest("estimateSelfSupervised() counts the momentum classifier", (gpu) => {
  const estimate = (evaluation: LearnSelfSupervisedOptions["evaluation"]) =>
    estimateSelfSupervised(gpu, sessionOptionsOf({ ...FOLLOWED, evaluation }, 9));
  const without = estimate(EVALUATION), beside = estimate(MOMENTUM);
  // Weight [24, F] and bias, each padded to 64 numbers.
  const vector = 4 * (CLASSES * 32 + 64);
  for (const part of ["parameters", "gradients", "samplerState"] as const) {
    assertEquals(beside[part] - without[part], vector, part);
  }
  // Labels, logits and their gradient, of 18 rows.
  assert(beside.activations >= without.activations + 18 * 4 * (1 + 2 * CLASSES));
  assertEquals(beside.total - without.total, 3 * vector + beside.activations - without.activations);
});

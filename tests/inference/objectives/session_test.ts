import { assert, assertAlmostEquals, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { ViewSequence } from "../../../lib/data/augmentation/views.ts";
import { UsageError } from "../../../lib/errors.ts";
import type { Gpu } from "../../../lib/gpu/device.ts";
import { NORMALISATIONS } from "../../../lib/data/normalisation.ts";
import { cosineTo, type ObjectiveSettings } from "../../../lib/inference/objectives/objective.ts";
import { objectiveOf, settingsOf } from "../../../lib/inference/objectives/objectives.ts";
import {
  estimateSelfSupervised,
  layoutObjective,
  SelfSupervisedSession,
} from "../../../lib/inference/objectives/session.ts";
import { DeviceModel, layoutModel } from "../../../lib/models/device_model.ts";
import { initialHead } from "../../../lib/models/initial_head.ts";
import { initialWeights, type Weights } from "../../../lib/models/weights.ts";
import { gpuTests } from "../../gpu/harness.ts";
import { NETWORK, trainingImages, VIEW } from "./instances.ts";

const gpuTest = gpuTests();

const STEPS = 10;
const VIEWS = [[{ ...VIEW, height: 16, width: 16 }, { ...VIEW, height: 16, width: 16 }]];
const batches = new ViewSequence(trainingImages(), VIEWS, { batchSize: 6, seed: 1 });

function optionsOf(name: string, settings: ObjectiveSettings) {
  const objective = objectiveOf(name);
  return {
    model: NETWORK,
    objective,
    settings: settingsOf(objective, { projHidden: 16, projOut: 8, ...settings }),
    views: VIEWS,
    batchSize: 6,
    normalisation: NORMALISATIONS.imagenet,
    optimiser: { optimiser: "sgd", momentum: 0.9, weightDecay: 1e-4 } as const,
    steps: STEPS,
    seed: 1,
  };
}

/** Runs `body` on a session whose backbone is freshly initialised. */
async function withSession(
  gpu: Gpu,
  name: string,
  settings: ObjectiveSettings,
  body: (session: SelfSupervisedSession, first: Weights) => Promise<void>,
): Promise<void> {
  const options = optionsOf(name, settings), layouts = layoutObjective(options, gpu.maxBindingBytes);
  const model = new DeviceModel(gpu, NETWORK, layouts);
  const { backbone } = initialWeights(layoutModel(NETWORK), 3);
  const first = { backbone, head: initialHead(layouts.head, 1), state: new Float32Array(layouts.state.count).fill(1) };
  model.write(first);
  const session = await SelfSupervisedSession.create(model, options);
  try {
    await body(session, first);
  } finally {
    session.destroy();
    model.destroy();
  }
}

const step = (session: SelfSupervisedSession, index: number) =>
  session.submit(index, batches.batchAt(index), 0.1, false);

gpuTest("the momentum network follows the trained one by the share that its schedule says", async (gpu) => {
  await withSession(gpu, "byol", { predHidden: 8 }, async (session, first) => {
    let target = first;
    for (const index of [0, 1]) {
      step(session, index);
      const { memories } = await session.readState(), weights = await session.model.read();
      const keep = cosineTo(0.99, 1)(index, STEPS);
      for (const [part, name] of [["backbone", "targetBackbone"], ["head", "targetHead"]] as const) {
        assertNotEquals(weights[part], first[part]);
        memories[name].forEach((value, i) =>
          assertAlmostEquals(value, keep * target[part][i] + (1 - keep) * weights[part][i], 1e-6)
        );
      }
      target = { ...target, backbone: memories.targetBackbone, head: memories.targetHead };
    }
  });
});

Deno.test("cosineTo() goes from its first to its last value", () => {
  const at = cosineTo(0.99, 1);
  assertEquals([at(0, 8), at(8, 8)], [0.99, 1]);
  assertAlmostEquals(at(4, 8), 0.995, 1e-12);
});

gpuTest("a queue takes the rows of each step over its oldest, and goes round", async (gpu) => {
  await withSession(gpu, "mocov2plus", { queueSize: 21 }, async (session) => {
    const queue = async () => (await session.readState()).memories.queue;
    const rowOf = (values: Float32Array, row: number) => values.slice(row * 8, (row + 1) * 8);
    let before = await queue();
    // 12 rows a step: rows 0-11, then 12-20 and 0-2.
    for (
      const [index, changed] of [[0, (row: number) => row < 12], [1, (row: number) => row > 11 || row < 3]] as const
    ) {
      step(session, index);
      const after = await queue();
      for (let row = 0; row < 21; row++) {
        assertAlmostEquals(Math.hypot(...rowOf(after, row)), 1, 1e-5);
        if (changed(row)) assertNotEquals(rowOf(after, row), rowOf(before, row));
        else assertEquals(rowOf(after, row), rowOf(before, row));
      }
      before = after;
    }
  });
});

gpuTest("dino's centre moves towards the mean of the targets", async (gpu) => {
  await withSession(gpu, "dino", { prototypes: 12 }, async (session) => {
    const centre = async () => (await session.readState()).memories.centre;
    assertEquals([...await centre()], Array(12).fill(0));
    step(session, 0);
    const first = await centre();
    // A tenth of a mean of cosines.
    assert(first.some((value) => value !== 0) && first.every((value) => Math.abs(value) <= 0.1));
  });
});

gpuTest("estimateSelfSupervised() counts a momentum network and a queue", (gpu) => {
  const plain = estimateSelfSupervised(gpu, optionsOf("simclr", {}));
  const momentum = estimateSelfSupervised(gpu, optionsOf("mocov2plus", { queueSize: 1000 }));
  assertEquals(momentum.parameters, 2 * plain.parameters);
  assert(momentum.activations >= plain.activations + 1000 * 8 * 4);
  const { total, activationsLowerBound: _, ...parts } = momentum;
  assertEquals(total, Object.values(parts).reduce((sum, bytes) => sum + bytes, 0));
});

Deno.test("objectiveOf() and settingsOf() refuse by name, and list what there is", () => {
  assertThrows(
    () => objectiveOf("wmse"),
    UsageError,
    "Cannot learn by the objective wmse: there are barlow_twins, byol",
  );
  assertThrows(() => settingsOf(objectiveOf("byol"), { queueSize: 3 }), UsageError, "it has projHidden, projOut");
});

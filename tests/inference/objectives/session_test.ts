import { assert, assertAlmostEquals, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { viewBatches } from "../../../lib/data/augmentation/views.ts";
import { OutOfMemoryError, UsageError } from "../../../lib/errors.ts";
import type { Gpu } from "../../../lib/gpu/device.ts";
import { NORMALISATIONS } from "../../../lib/data/normalisation.ts";
import { cosineTo, type ObjectiveSettings } from "../../../lib/inference/objectives/objective.ts";
import { objectiveOf, settingsOf } from "../../../lib/inference/objectives/objectives.ts";
import {
  estimateSelfSupervised,
  layoutObjective,
  SelfSupervisedSession,
} from "../../../lib/inference/objectives/session.ts";
import { buildTrainedNetwork } from "../../../lib/inference/objectives/network.ts";
import { PhiloxSequence, Stream } from "../../../lib/random/philox.ts";
import { DeviceModel, layoutModel } from "../../../lib/models/device_model.ts";
import { initialHead } from "../../../lib/models/initial_head.ts";
import { initialWeights, type Weights } from "../../../lib/models/weights.ts";
import { gpuTests, withGpu } from "../../gpu/harness.ts";
import { sphericalKMeans } from "../../reference/spherical_kmeans.ts";
import { firstOf, NETWORK, trainingImages, VIEW } from "./instances.ts";

const gpuTest = gpuTests();

const STEPS = 10;
const VIEWS = [[{ ...VIEW, height: 16, width: 16 }, { ...VIEW, height: 16, width: 16 }]];
/** Two steps an epoch: 13 images, of which each epoch leaves one out. */
const batches = viewBatches(firstOf(trainingImages(), 13), VIEWS, { batchSize: 6, seed: 1 });

function optionsOf(name: string, settings: ObjectiveSettings) {
  const objective = objectiveOf(name);
  return {
    model: NETWORK,
    objective,
    settings: settingsOf(objective, { projHidden: 16, projOut: 8, ...settings }),
    views: VIEWS,
    batchSize: batches.batchSize,
    stepsPerEpoch: batches.stepsPerEpoch,
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
  let session: SelfSupervisedSession | undefined;
  try {
    session = await SelfSupervisedSession.create(model, options);
    await body(session, first);
  } finally {
    session?.destroy();
    model.destroy();
  }
}

const step = (session: SelfSupervisedSession, index: number) =>
  session.submit(index, batches.batchAt(index), 0.1, false);

gpuTest("the momentum network follows the trained one by the share that its schedule says", async (gpu) => {
  for (const [base, final, given] of [[0.99, 1, {}], [0.8, 0.9, { baseMomentum: 0.8, finalMomentum: 0.9 }]] as const) {
    await withSession(gpu, "byol", { predHidden: 8, ...given }, async (session, first) => {
      let target = first;
      for (const index of [0, 1]) {
        step(session, index);
        const { memories } = await session.readState(), weights = await session.model.read();
        const keep = cosineTo(base, final)(index, STEPS);
        for (const [part, name] of [["backbone", "targetBackbone"], ["head", "targetHead"]] as const) {
          assertNotEquals(weights[part], first[part]);
          memories[name].forEach((value, i) =>
            assertAlmostEquals(value, keep * target[part][i] + (1 - keep) * weights[part][i], 1e-6)
          );
        }
        target = { ...target, backbone: memories.targetBackbone, head: memories.targetHead };
      }
    });
  }
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

gpuTest("a queue smaller than a step's rows holds the last of them", async (gpu) => {
  await withSession(gpu, "mocov2plus", { queueSize: 5 }, async (small) => {
    await withSession(gpu, "mocov2plus", { queueSize: 24 }, async (large) => {
      // Both make the same keys in the first step: those of another queue have no part in them.
      for (const session of [small, large]) step(session, 0);
      const [few, all] = [(await small.readState()).memories.queue, (await large.readState()).memories.queue];
      // Rows 7-11 of the step lie at 7 mod 5 and so on.
      [7, 8, 9, 10, 11].forEach((row) =>
        assertEquals(few.slice((row % 5) * 8, (row % 5 + 1) * 8), all.slice(row * 8, (row + 1) * 8))
      );
    });
  });
});

gpuTest("swav's queues take each large view's projections, and count from their epoch on", async (gpu) => {
  const loss = async (settings: ObjectiveSettings, at: number) => {
    let found = NaN;
    await withSession(gpu, "swav", { prototypes: 12, ...settings }, async (session) => {
      const queues = async () => {
        const { memories } = await session.readState();
        return [memories.queue0, memories.queue1];
      };
      const before = settings.queueSize === 0 ? [] : await queues();
      step(session, at);
      found = (await session.metrics())[0].loss;
      if (settings.queueSize === 0) return;
      const after = await queues();
      assertNotEquals(after[0].slice(0, 6 * 8), after[1].slice(0, 6 * 8));
      after.forEach((queue, view) => assertEquals(queue.slice(6 * 8), before[view].slice(6 * 8)));
      after.forEach((queue, view) => assertNotEquals(queue.slice(0, 6 * 8), before[view].slice(0, 6 * 8)));
    });
    return found;
  };
  // Step 4 is the first of epoch 2, and the ring of 12 rows is at its start then.
  const none = await loss({ queueSize: 0 }, 4), early = await loss({ queueSize: 12, queueStart: 3 }, 4);
  assertAlmostEquals(early, none, 1e-5);
  const counting = await loss({ queueSize: 12, queueStart: 2 }, 4);
  assert(Math.abs(counting - none) > 1e-3, `${counting} with the queue, ${none} without`);
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

gpuTest("deepclusterv2 remembers an epoch, clusters it, and looks for its images in the next", async (gpu) => {
  const sizes = { heads: 3, prototypes: 4, clusterIterations: 3 };
  await withSession(gpu, "deepclusterv2", sizes, async (session) => {
    const width = 8,
      rows = 12,
      rowsOf = (values: Float32Array, count: number) =>
        Array.from({ length: count }, (_, row) => [...values.subarray(row * width, (row + 1) * width)]);
    const first = (await session.readState()).memories;
    step(session, 0);
    const half = (await session.readState()).memories;
    for (const view of ["projections0", "projections1"]) {
      rowsOf(half[view], rows).forEach((row, i) => assertAlmostEquals(Math.hypot(...row), i < 6 ? 1 : 0, 1e-5));
    }
    assertEquals([half.prototypes0, half.labels0], [first.prototypes0, new Float32Array(rows + 1)]);
    step(session, 1);
    const { memories } = await session.readState();
    for (const head of [0, 1, 2]) {
      const projections = rowsOf(memories[`projections${head % 2}`], rows);
      const order = new PhiloxSequence(1, Stream.clusters, 1, head)
        .shuffle(Array.from({ length: rows }, (_, row) => row));
      const wanted = sphericalKMeans(projections, order.slice(0, 4).map((row) => projections[row]), 3);
      const prototypes = memories[`prototypes${head}`];
      wanted.prototypes.flat().forEach((value, i) => assertAlmostEquals(prototypes[i], value, 1e-5));
      assertEquals([...memories[`labels${head}`]], [...wanted.clusters.map((cluster) => cluster + 1), 0]);
    }
    // The loss of the third step is that of the labels at the places of its images.
    const weights = await session.model.read(), state = await session.readState();
    step(session, 2);
    const losses = (await session.metrics()).map(({ loss }) => loss);
    assertEquals(losses.slice(0, 2), [0, 0]);
    const after = (await session.readState()).memories, { placesBefore } = batches.batchAt(2);
    assert(placesBefore.some((place) => place < rows));
    let sum = 0;
    for (const head of [0, 1, 2]) {
      const prototypes = rowsOf(memories[`prototypes${head}`], 4);
      const terms = ["projections0", "projections1"].flatMap((view) =>
        rowsOf(after[view], 6).flatMap((row, i) => {
          const label = memories[`labels${head}`][placesBefore[i]];
          if (label === 0) return [];
          const logits = prototypes.map((prototype) => 10 * prototype.reduce((dot, x, k) => dot + x * row[k], 0));
          return [Math.log(logits.reduce((total, x) => total + Math.exp(x), 0)) - logits[label - 1]];
        })
      );
      sum += terms.reduce((total, term) => total + term, 0) / terms.length / 3;
    }
    assertAlmostEquals(losses[2], sum, 1e-4);
    // And all of it is in the state: the step again, from there.
    session.model.write(weights);
    session.writeState(state);
    step(session, 2);
    assertEquals((await session.metrics())[0].loss, losses[2]);
  });
});

gpuTest("wmse whitens the whole batch alike in whatever order, and parts of it by step and iteration", async (gpu) => {
  const loss = async (settings: ObjectiveSettings, index = 0) => {
    let found = NaN;
    await withSession(gpu, "wmse", { projOut: 2, ...settings }, async (session) => {
      step(session, index);
      found = (await session.metrics())[0].loss;
    });
    return found;
  };
  const whole = await loss({ whiteningSize: 6 });
  assert(whole > 0 && whole < 4);
  // A whole batch has one covariance; sums in other orders differ in their last bits.
  assertAlmostEquals(await loss({ whiteningSize: 6, whiteningIterations: 4 }), whole, 1e-4);
  const parts = await loss({ whiteningSize: 3 }), twice = await loss({ whiteningSize: 3, whiteningIterations: 2 });
  assert(Math.abs(parts - whole) > 1e-3 && Math.abs(twice - parts) > 1e-3, `${[whole, parts, twice]}`);
});

Deno.test("dino's target is warmer for two epochs, and then as warm as it stays", () => {
  const { inputs } = buildTrainedNetwork(optionsOf("dino", { prototypes: 12 }));
  const [, at] = [...inputs].find(([{ name }]) => name === "target temperature")!;
  const temperature = (step: number) => at({ step, steps: 100, seed: 1, batch: batches.batchAt(0) })[0];
  // Two steps an epoch.
  [0.04, 0.0475, 0.055, 0.0625, 0.07, 0.07].forEach((expected, step) =>
    assertAlmostEquals(temperature(step), expected, 1e-7)
  );
});

Deno.test("objectives refuse what they cannot do", () => {
  const refuse = (name: string, settings: ObjectiveSettings, message: string) =>
    assertThrows(() => layoutObjective(optionsOf(name, settings)), UsageError, message);
  refuse("wmse", {}, "Cannot whiten a batch of 6 by the objective wmse: whiteningSize is 256, but a divisor");
  refuse("wmse", { whiteningSize: 6 }, "Cannot whiten 6 projections of width 8 by the objective wmse");
  refuse("wmse", { whiteningSize: 6, projOut: 6 }, "their covariance is singular");
  refuse("wmse", { whiteningSize: 6, whiteningEps: 1.5 }, "whiteningEps is 1.5, but one from 0 to 1 is required");
  refuse("wmse", { whiteningSize: 1.5 }, "whiteningSize is 1.5, but a whole number from 2 on is required");
  refuse("wmse", { whiteningSize: 6, whiteningIterations: 0 }, "whiteningIterations is 0, but a whole number from 1");
  refuse("deepclusterv2", {}, "Cannot make 3000 prototypes by the objective deepclusterv2: an epoch has 12 examples");
  for (const name of ["mocov2plus", "ressl", "nnclr", "nnbyol", "nnsiam"]) {
    refuse(name, { queueSize: 0 }, "queueSize is 0, but a whole number from 1 on is required");
    refuse(name, { queueSize: 1.5 }, "queueSize is 1.5, but a whole number from 1 on is required");
  }
  for (const name of ["byol", "dino", "mocov2plus", "nnbyol", "ressl"]) {
    refuse(name, { baseMomentum: 1.5 }, "baseMomentum is 1.5, but a number from 0 to 1 is required");
    refuse(name, { finalMomentum: NaN }, "finalMomentum is NaN, but a number from 0 to 1 is required");
  }
  refuse("swav", { queueSize: -1 }, "queueSize is -1, but a whole number from 0 on is required");
  refuse("swav", { queueStart: 0.5 }, "queueStart is 0.5, but a whole number from 0 on is required");
  refuse("deepclusterv2", { heads: 0 }, "heads is 0, but a whole number from 1 on is required");
  refuse("deepclusterv2", { prototypes: 4, clusterIterations: 0.5 }, "clusterIterations is 0.5");
  layoutObjective(optionsOf("wmse", { whiteningSize: 6, whiteningEps: 0.01 }));
  layoutObjective(optionsOf("deepclusterv2", { prototypes: 12 }));
});

gpuTest("prototypes of swav and dino keep their directions in the first epoch, and move in the second", async (gpu) => {
  for (const [name, more] of [["swav", { queueSize: 0 }], ["dino", {}]] as const) {
    await withSession(gpu, name, { prototypes: 4, ...more }, async (session) => {
      const { head } = session.model.layouts;
      const { torchOffset, size } = head.entries.find((entry) => entry.name === "prototypes.weight")!;
      const directions = async () => {
        const rows = (await session.model.read()).head.slice(torchOffset, torchOffset + size), width = size / 4;
        return Array.from(rows, (value, i) => {
          const row = rows.subarray(i - i % width, i - i % width + width);
          return value / Math.hypot(...row);
        });
      };
      const moved = (from: number[], to: number[]) => Math.max(...to.map((value, i) => Math.abs(value - from[i])));
      const first = await directions();
      for (const index of [0, 1]) step(session, index);
      const held = await directions();
      step(session, 2);
      assert(moved(first, held) < 1e-6, `${name}: ${moved(first, held)}`);
      assert(moved(held, await directions()) > 1e-4, name);
    });
  }
});

gpuTest("estimateSelfSupervised() counts a momentum network and a queue", (gpu) => {
  const estimate = (queueSize: number) => estimateSelfSupervised(gpu, optionsOf("mocov2plus", { queueSize }));
  const short = estimate(10), momentum = estimate(1000);
  const { backbone, head, state } = layoutObjective(optionsOf("mocov2plus", { queueSize: 1000 }), gpu.maxBindingBytes);
  assertEquals(momentum.parameters, 2 * 4 * (backbone.paddedCount + head.paddedCount + state.paddedCount));
  assert(momentum.activations >= short.activations + 990 * 8 * 4);
  const { total, activationsLowerBound: _, ...parts } = momentum;
  assertEquals(total, Object.values(parts).reduce((sum, bytes) => sum + bytes, 0));
});

Deno.test("a queue larger than one binding is refused by its rows, in the plan and in the run", async () => {
  await withGpu({ maxBindingBytes: 2 ** 20 }, async (gpu) => {
    const sizes = (queueSize: number) => ({ predHidden: 8, queueSize });
    const fits = 2 ** 20 / (4 * 8),
      message = `Cannot remember queue: its ${fits + 1} rows of 8 numbers take 1048608 ` +
        "bytes, but one binding of the device holds 1048576; fewer rows";
    const estimate = (queueSize: number) => estimateSelfSupervised(gpu, optionsOf("nnclr", sizes(queueSize)));
    // A queue that fits is not refused; what it is compared with may be.
    const similarities = "Cannot bind similarities to the queue of 1572864 bytes";
    assertThrows(() => estimate(fits), OutOfMemoryError, similarities);
    assert(estimate(fits / 2).activations >= 2 ** 19);
    assertThrows(() => estimate(fits + 1), OutOfMemoryError, message);
    const run = () => withSession(gpu, "nnclr", sizes(fits + 1), () => Promise.resolve());
    await assertRejects(run, OutOfMemoryError, message);
  });
});

Deno.test("objectiveOf() and settingsOf() refuse by name, and list what there is", () => {
  assertThrows(
    () => objectiveOf("pirl"),
    UsageError,
    "Cannot learn by the objective pirl: there are barlow_twins, byol",
  );
  assertThrows(() => settingsOf(objectiveOf("byol"), { queueSize: 3 }), UsageError, "it has projHidden, projOut");
});

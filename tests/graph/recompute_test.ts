import { assert, assertEquals } from "@std/assert";
import { lowerBackward, lowerForward } from "../../lib/graph/graph.ts";
import { planMemory } from "../../lib/graph/plan.ts";
import type { Target } from "../../lib/ops/operation.ts";
import { lowerRecomputing } from "../../lib/graph/recompute.ts";
import { TrainingSession } from "../../lib/inference/training.ts";
import { buildClassifier, type ClassifierConfig } from "../../lib/models/classifier.ts";
import { DeviceModel } from "../../lib/models/device_model.ts";
import { initialWeights } from "../../lib/models/weights.ts";
import { NORMALISATIONS } from "../../lib/data/normalisation.ts";
import { proceduralSource } from "../../lib/data/procedural.ts";
import { gpuTests } from "../gpu/harness.ts";

const gpuTest = gpuTests();
const TARGET: Target = { schedule: "cpu", tiles: [], subgroupSize: 8, training: true };

/** Least bytes of activations of a step, kept and computed again, and how many launches each has. */
function compare(config: ClassifierConfig, batchSize: number) {
  const { graph, totals } = buildClassifier(config, batchSize);
  const measure = (dispatches: Parameters<typeof planMemory>[0]) => {
    const { lowerBound, slabs } = planMemory(dispatches, new Set([totals]), 2 ** 40);
    return { bytes: lowerBound, planned: slabs.reduce((sum, slab) => sum + slab, 0), launches: dispatches.length };
  };
  const kept = measure([...lowerForward(graph, TARGET), ...lowerBackward(graph, TARGET)]);
  return { kept, again: measure(lowerRecomputing(graph, TARGET)) };
}

for (
  const [encoder, side, share] of [["resnet20", 32, 0.5], ["resnet56", 32, 0.3], ["resnet50", 224, 0.45]] as const
) {
  Deno.test(`lowerRecomputing() of ${encoder} needs at most ${100 * share} % of the memory for activations`, () => {
    const { kept, again } = compare({ encoder, numClasses: 10, height: side, width: side }, 8);
    assert(again.bytes <= share * kept.bytes, `${again.bytes} of ${kept.bytes}`);
    assert(again.planned <= 1.15 * again.bytes, `${again.planned} planned, ${again.bytes} needed`);
    // At most every forward launch once more.
    assert(again.launches > kept.launches && again.launches < 1.5 * kept.launches);
  });
}

for (const precision of ["f32", "mixed"] as const) {
  gpuTest(
    `training computes the same bits whether activations are kept or computed again, ${precision}`,
    async (gpu) => {
      const set = proceduralSource({ seed: 1, perClass: 1 });
      const config = { encoder: "resnet20", numClasses: 24, height: 32, width: 32 };
      const results = [];
      for (const recompute of [false, true]) {
        const model = new DeviceModel(gpu, config);
        model.write(initialWeights(model.layouts, 1));
        const session = await TrainingSession.create(model, {
          batchSize: 5,
          normalisation: NORMALISATIONS.imagenet,
          settings: { sampler: "sghmc", momentum: 0.9, temperature: 1, numData: 24, priorStep: "implicit" },
          seed: 1,
          headVariance: 1,
          recompute,
          precision,
        });
        const images = set.images.slice(0, 5 * 3072), labels = set.labels.slice(0, 5);
        for (let step = 0; step < 2; step++) session.submit(step, { images, labels }, 0.05, true);
        const metrics = await session.metrics();
        results.push({ metrics, weights: await model.read() });
        session.destroy();
        model.destroy();
      }
      const [kept, again] = results;
      assertEquals(again.metrics, kept.metrics);
      assertEquals(again.weights, kept.weights);
      assert(kept.metrics[1].loss !== kept.metrics[0].loss);
    },
  );
}

/** Sizes and constants of the objectives as the original system has them, in literal numbers. */

import { assertEquals } from "@std/assert";
import { NORMALISATIONS } from "../../../lib/data/normalisation.ts";
import { buildTargetNetwork, buildTrainedNetwork } from "../../../lib/inference/objectives/network.ts";
import type { StepFacts } from "../../../lib/inference/objectives/network.ts";
import { OBJECTIVE_NAMES, objectiveOf } from "../../../lib/inference/objectives/objectives.ts";
import { NETWORK, VIEW } from "./instances.ts";

/** Features of the backbone that the layers are put above. */
const FEATURES = 32;
/** W-MSE whitens 256 images together; two are few enough for the others. */
const BATCH = 2, WHITENED = 256;
/** DeepCluster-v2 needs as many images an epoch as it has clusters. */
const STEPS_PER_EPOCH = 1500;

/** A parameter and its shape as PyTorch has it. */
type Shape = readonly [string, ...number[]];

const linear = (name: string, outputs: number, inputs: number): Shape[] => [
  [`${name}.weight`, outputs, inputs],
  [`${name}.bias`, outputs],
];
const withoutBias = (name: string, outputs: number, inputs: number): Shape[] => [[`${name}.weight`, outputs, inputs]];
const norm = (name: string, width: number): Shape[] => [[`${name}.weight`, width], [`${name}.bias`, width]];

/** One objective. */
interface Original {
  readonly defaults: Readonly<Record<string, number>>;
  /** What is trained above the backbone, in PyTorch's order. */
  readonly layers: readonly Shape[];
  /** Widths of all BatchNorms there, those without weights included. */
  readonly norms: readonly number[];
  readonly memories?: readonly Shape[];
  /** How many of `layers` the momentum network has, and what it gives. */
  readonly target?: { readonly layers: number; readonly output: readonly number[] };
  readonly multiCrop?: true;
}

const MOMENTUM = { baseMomentum: 0.99, finalMomentum: 1 };

const THREE_OF_2048: Pick<Original, "layers" | "norms"> = {
  layers: [
    ...linear("projector.0", 2048, FEATURES),
    ...norm("projector.1", 2048),
    ...linear("projector.3", 2048, 2048),
    ...norm("projector.4", 2048),
    ...linear("projector.6", 2048, 2048),
  ],
  norms: [2048, 2048],
};
const BYOL: Pick<Original, "layers" | "norms"> = {
  layers: [
    ...linear("projector.0", 2048, FEATURES),
    ...norm("projector.1", 2048),
    ...linear("projector.3", 256, 2048),
    ...linear("predictor.0", 512, 256),
    ...norm("predictor.1", 512),
    ...linear("predictor.3", 256, 512),
  ],
  norms: [2048, 512],
};
const THREE_WITHOUT_BIAS: readonly Shape[] = [
  ...withoutBias("projector.0", 2048, FEATURES),
  ...norm("projector.1", 2048),
  ...withoutBias("projector.3", 2048, 2048),
  ...norm("projector.4", 2048),
  ...withoutBias("projector.6", 128, 2048),
];
const SIMSIAM: Pick<Original, "layers" | "norms"> = {
  layers: [
    ...THREE_WITHOUT_BIAS,
    ...withoutBias("predictor.0", 512, 128),
    ...norm("predictor.1", 512),
    ...linear("predictor.3", 128, 512),
  ],
  norms: [2048, 2048, 128, 512],
};
const normedTwo = (hidden: number): Pick<Original, "layers" | "norms"> => ({
  layers: [
    ...linear("projector.0", hidden, FEATURES),
    ...norm("projector.1", hidden),
    ...linear("projector.3", 128, hidden),
  ],
  norms: [hidden],
});
const plainTwo = (outputs: number): Pick<Original, "layers" | "norms"> => ({
  layers: [...linear("projector.0", 2048, FEATURES), ...linear("projector.2", outputs, 2048)],
  norms: [],
});

const ORIGINALS: Readonly<Record<string, Original>> = {
  "barlow_twins": {
    defaults: { projHidden: 2048, projOut: 2048, lambda: 0.0051, scale: 0.024 },
    ...THREE_OF_2048,
  },
  byol: {
    defaults: { projHidden: 2048, projOut: 256, predHidden: 512, ...MOMENTUM },
    ...BYOL,
    target: { layers: 6, output: [4, 256] },
    multiCrop: true,
  },
  deepclusterv2: {
    defaults: { projHidden: 2048, projOut: 128, heads: 3, prototypes: 3000, clusterIterations: 10, temperature: 0.1 },
    ...normedTwo(2048),
    memories: [
      ["projections0", 3000, 128],
      ["projections1", 3000, 128],
      ["prototypes0", 3000, 128],
      ["labels0", 3001],
      ["prototypes1", 3000, 128],
      ["labels1", 3001],
      ["prototypes2", 3000, 128],
      ["labels2", 3001],
    ],
    multiCrop: true,
  },
  dino: {
    defaults: {
      projHidden: 2048,
      projOut: 256,
      prototypes: 4096,
      temperature: 0.1,
      targetTemperature: 0.07,
      warmupTemperature: 0.04,
      warmupEpochs: 2,
      centreMomentum: 0.9,
      freezeEpochs: 1,
      ...MOMENTUM,
    },
    layers: [
      ...linear("projector.0", 2048, FEATURES),
      ...linear("projector.2", 2048, 2048),
      ...linear("projector.4", 256, 2048),
      ["prototypes.weight", 4096, 256],
    ],
    norms: [],
    memories: [["centre", 1, 4096]],
    target: { layers: 7, output: [4, 4096] },
    multiCrop: true,
  },
  mocov2plus: {
    defaults: { projHidden: 2048, projOut: 128, temperature: 0.1, queueSize: 65536, ...MOMENTUM },
    ...plainTwo(128),
    memories: [["queue", 65536, 128]],
    target: { layers: 4, output: [4, 128] },
  },
  nnbyol: {
    defaults: { projHidden: 2048, projOut: 256, predHidden: 512, queueSize: 65536, ...MOMENTUM },
    ...BYOL,
    memories: [["queue", 65536, 256]],
    target: { layers: 6, output: [4, 256] },
  },
  nnclr: {
    defaults: { projHidden: 2048, projOut: 256, predHidden: 4096, temperature: 0.2, queueSize: 65536 },
    layers: [
      ...linear("projector.0", 2048, FEATURES),
      ...norm("projector.1", 2048),
      ...linear("projector.3", 2048, 2048),
      ...norm("projector.4", 2048),
      ...linear("projector.6", 256, 2048),
      ...norm("projector.7", 256),
      ...linear("predictor.0", 4096, 256),
      ...norm("predictor.1", 4096),
      ...linear("predictor.3", 256, 4096),
    ],
    norms: [2048, 2048, 256, 4096],
    memories: [["queue", 65536, 256]],
  },
  nnsiam: {
    defaults: { projHidden: 2048, projOut: 128, predHidden: 512, queueSize: 65536 },
    ...SIMSIAM,
    memories: [["queue", 65536, 128]],
  },
  ressl: {
    defaults: {
      projHidden: 2048,
      projOut: 256,
      temperature: 0.1,
      targetTemperature: 0.04,
      queueSize: 65536,
      ...MOMENTUM,
    },
    ...plainTwo(256),
    memories: [["queue", 65536, 256]],
    target: { layers: 4, output: [4, 256] },
  },
  simclr: {
    defaults: { projHidden: 2048, projOut: 128, temperature: 0.1, supervised: 0 },
    layers: [...THREE_WITHOUT_BIAS, ...norm("projector.7", 128)],
    norms: [2048, 2048, 128],
  },
  simsiam: { defaults: { projHidden: 2048, projOut: 128, predHidden: 512 }, ...SIMSIAM },
  swav: {
    defaults: {
      projHidden: 2048,
      projOut: 128,
      prototypes: 3000,
      temperature: 0.1,
      epsilon: 0.05,
      iterations: 3,
      queueSize: 3840,
      queueStart: 15,
      freezeEpochs: 1,
    },
    layers: [...normedTwo(2048).layers, ["prototypes.weight", 3000, 128]],
    norms: [2048],
    memories: [["queue0", 3840, 128], ["queue1", 3840, 128]],
    multiCrop: true,
  },
  vicreg: {
    defaults: { projHidden: 2048, projOut: 2048, invariance: 25, variance: 25, covariance: 1 },
    ...THREE_OF_2048,
  },
  wmse: {
    defaults: { projHidden: 1024, projOut: 128, whiteningSize: 256, whiteningIterations: 1, whiteningEps: 0 },
    ...normedTwo(1024),
  },
};

function networkOptions(name: string) {
  const objective = objectiveOf(name), view = { ...VIEW, height: 16, width: 16 };
  return {
    model: NETWORK,
    objective,
    settings: objective.defaults,
    views: [[view, view]],
    batchSize: name === "wmse" ? WHITENED : BATCH,
    stepsPerEpoch: STEPS_PER_EPOCH,
    normalisation: NORMALISATIONS.imagenet,
  };
}

Deno.test("there are the original's fourteen objectives", () => {
  assertEquals(OBJECTIVE_NAMES.length, 14);
  assertEquals([...OBJECTIVE_NAMES].sort(), Object.keys(ORIGINALS).sort());
});

for (const [name, { defaults, layers, norms, memories = [], target, multiCrop }] of Object.entries(ORIGINALS)) {
  Deno.test(`${name} has its sizes and constants, in literal numbers`, () => {
    const objective = objectiveOf(name);
    assertEquals(objective.defaults, defaults);
    assertEquals(objective.multiCrop, multiCrop);
    assertEquals(objective.momentum !== undefined, target !== undefined);
  });

  Deno.test(`${name} builds the original's layers, its memories and its momentum network`, () => {
    const { graph, memories: found, output } = buildTrainedNetwork(networkOptions(name));
    const shapesIn = (from: typeof graph): Shape[] =>
      from.parameters.filter(({ vector }) => vector === "head").map(({ name, torchShape }) => [name, ...torchShape]);
    assertEquals(shapesIn(graph), layers);
    const means = graph.parameters.filter(({ name }) => /^(projector|predictor)\.\d+\.running_mean$/.test(name));
    assertEquals(means.map(({ torchShape }) => torchShape), norms.map((width) => [width]));
    assertEquals([...found.keys()].map(({ name, shape }) => [name, ...shape]), memories);
    assertEquals(output.shape, [1]);
    const momentum = buildTargetNetwork(networkOptions(name));
    assertEquals(momentum && shapesIn(momentum.graph), target && layers.slice(0, target.layers));
    assertEquals(momentum?.output.shape, target?.output);
  });
}

/** What the host writes under a name before a step of a run of `steps`. */
function written(name: string, input: string, step: number): number {
  const { inputs } = buildTrainedNetwork(networkOptions(name));
  const [, at] = [...inputs].find(([tensor]) => tensor.name === input)!;
  return at({ step, steps: 100 * STEPS_PER_EPOCH } as StepFacts)[0];
}

Deno.test("dino's target temperature rises from 0.04 to 0.07 in two epochs; swav's queue counts from epoch 15 on", () => {
  const temperature = (epoch: number) => written("dino", "target temperature", epoch * STEPS_PER_EPOCH);
  const expected = [[0, 0.04], [1, 0.055], [2, 0.07], [50, 0.07]] as const;
  for (const [epoch, value] of expected) assertEquals(Math.fround(temperature(epoch)), Math.fround(value));
  const gate = (step: number) => written("swav", "queue gate", step);
  assertEquals([gate(0), gate(15 * STEPS_PER_EPOCH - 1), gate(15 * STEPS_PER_EPOCH)], [0, 0, 1]);
});

Deno.test("momentum networks keep 0.99 of their weights at first and all of them at last", () => {
  for (const name of ["byol", "dino", "mocov2plus", "nnbyol", "ressl"]) {
    const keep = objectiveOf(name).momentum!.keep(objectiveOf(name).defaults);
    assertEquals([keep(0, 100), keep(100, 100)], [0.99, 1], name);
  }
});

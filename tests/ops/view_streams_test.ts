/** Views of a stream's images: what threads hand over and what the device makes of it. */

import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { drawView } from "../../lib/data/augmentation/draw.ts";
import { VIEW_PARAMETERS, viewWeights, writeDraw } from "../../lib/data/augmentation/table.ts";
import type { View } from "../../lib/data/augmentation/view.ts";
import { roomOf, viewSource } from "../../lib/data/augmentation/view_source.ts";
import { type ViewBatch, viewBatches } from "../../lib/data/augmentation/views.ts";
import { createImageStream, type ImageStream } from "../../lib/data/dataset.ts";
import { NORMALISATIONS, scaleAndShift } from "../../lib/data/normalisation.ts";
import { RenderPool } from "../../lib/data/render_pool.ts";
import type { RgbImage } from "../../lib/data/resize.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { buildTrainedNetwork } from "../../lib/inference/objectives/network.ts";
import { objectiveOf, settingsOf } from "../../lib/inference/objectives/objectives.ts";
import { layoutObjective, SelfSupervisedSession } from "../../lib/inference/objectives/session.ts";
import { DeviceModel, layoutModel } from "../../lib/models/device_model.ts";
import { initialHead } from "../../lib/models/initial_head.ts";
import { initialWeights } from "../../lib/models/weights.ts";
import { augmentImages } from "../../lib/ops/augment_images.ts";
import { scratch, type Tensor as DeviceTensor } from "../../lib/ops/operation.ts";
import { gpuTests, type Operand, runOperation } from "../gpu/harness.ts";
import { tensor } from "../reference/tensor.ts";

const gpuTest = gpuTests();

const LARGE: View = {
  height: 18,
  width: 18,
  resize: { kind: "random-resized-crop", scale: [0.08, 1], ratio: [3 / 4, 4 / 3], filter: "bicubic" },
  horizontalFlip: 0.5,
  jitter: { probability: 0.8, brightness: 0.8, contrast: 0.8, saturation: 0.8, hue: 0.2 },
  grey: 0.2,
  blur: { probability: 0.5, kernel: 3, sigma: [0.1, 2] },
};
const SMALL: View = { ...LARGE, height: 9, width: 9, blur: undefined };
const GROUPS = [[LARGE, LARGE], [SMALL, SMALL, SMALL]];
const OPTIONS = { batchSize: 4, seed: 7 };

/** Rows and columns of images: a pixel, strips, one that is far larger than any view. */
const SIZES = [[1, 1], [90, 2], [3, 70], [20, 31], [200, 150], [18, 18]] as const;

function noise(height: number, width: number, factor: number): RgbImage {
  const rgb = Uint8Array.from(
    { length: height * width * 3 },
    (_, at) => ((at % 65521) ** 2 * factor + (at >> 5)) % 256,
  );
  return { height, width, rgb };
}

/** A stream of images, fitted to the size of the large views. */
function streamOf(images: readonly RgbImage[], whole?: ImageStream["whole"]): ImageStream {
  return createImageStream({
    name: "noise",
    classNames: ["a", "b"],
    labels: Uint32Array.from(images, (_, example) => example % 2),
    fit: { size: 18, resize: "crop" },
    identity: "noise",
    locate: (example) => ({ kind: "pixels", image: images[example] }),
    whole,
  });
}

const IMAGES = SIZES.map(([height, width], index) => noise(height, width, 7 + 2 * index));

const copied = (batch: ViewBatch) => structuredClone(batch);

/** Views of one group as the device makes them [N, height, width, 3]. */
async function made(
  gpu: Gpu,
  view: View,
  { images, room, parameters, packed }: {
    images: Uint8Array;
    room: readonly [number, number, number];
    parameters: Float32Array;
    packed: boolean;
  },
): Promise<ArrayLike<number>> {
  const { scale, shift } = scaleAndShift(NORMALISATIONS.imagenet), [count, height, width] = room;
  const weights = viewWeights(view, { height, width })!, rows = parameters.length / VIEW_PARAMETERS;
  // What is behind the boxes must not be seen.
  const bytes = new Uint8Array(count * height * width * 3).fill(201);
  bytes.set(images);
  const axis = (name: "horizontal" | "vertical"): Operand => ({
    value: tensor(weights[name].shape, new Uint32Array(weights[name].values.buffer)),
    layout: "labels",
  });
  const { output } = await runOperation(gpu, {
    operands: {
      images: { value: tensor([count, height, width, 3], bytes), layout: "bytes" },
      parameters: { value: tensor([rows, VIEW_PARAMETERS], parameters) },
      colours: { value: tensor([6], [...scale, ...shift]) },
      horizontal: axis("horizontal"),
      vertical: axis("vertical"),
    },
    build: (tensors: Readonly<Record<string, DeviceTensor>>) =>
      augmentImages("views", tensors.images, tensors.parameters, tensors.colours, {
        height: view.height,
        width: view.width,
        packed,
        resize: {
          horizontal: { weights: tensors.horizontal, firstFrom: weights.horizontal.firstFrom },
          vertical: { weights: tensors.vertical, firstFrom: weights.vertical.firstFrom },
        },
        jitter: true,
        grey: true,
        blurKernel: view.blur?.kernel,
      }),
  });
  return output.data;
}

gpuTest("views of a stream of many sizes are, to the bit, those of its whole images one by one", async (gpu) => {
  const stream = streamOf(IMAGES), reduced = new Set<boolean>();
  assertEquals(viewSource(stream, GROUPS), "boxes");
  using batches = viewBatches(stream, GROUPS, { batchSize: IMAGES.length, seed: 7 });
  const step = 0, batch = await batches.batchAt(step);
  let view = 0;
  for (const [index, group] of GROUPS.entries()) {
    const { height, width } = roomOf("boxes", group);
    const found = await made(gpu, group[0], {
      images: batch.images[index],
      room: [group.length * IMAGES.length, height, width],
      parameters: batch.parameters[index],
      packed: true,
    });
    const size = found.length / group.length / IMAGES.length;
    for (const place of group.keys()) {
      for (const [row, example] of batch.examples.entries()) {
        const image = IMAGES[example], draw = drawView(group[place], image, { seed: 7, step, example, view });
        const parameters = new Float32Array(VIEW_PARAMETERS);
        writeDraw(parameters, 0, 0, draw);
        const alone = { images: image.rgb, room: [1, image.height, image.width] as const, parameters, packed: false };
        const at = (place * IMAGES.length + row) * size;
        assertEquals(Array.from(found).slice(at, at + size), Array.from(await made(gpu, group[0], alone)));
        reduced.add(draw.box.width > width || draw.box.height > height);
      }
      view++;
    }
  }
  assertEquals(reduced, new Set([false, true]), "boxes that go to the device whole, and reduced ones, are required");
});

Deno.test("a batch of boxes is a pure function of the step, with labels and places in the pass before", async () => {
  const make = () => viewBatches(streamOf(IMAGES), GROUPS, OPTIONS);
  using batches = make();
  const straight = [];
  for (let step = 0; step < 6; step++) straight.push(copied(await batches.batchAt(step)));
  for (const step of [5, 1, 0]) {
    using resumed = make();
    assertEquals(copied(await resumed.batchAt(step)), straight[step]);
  }
  assertNotEquals(straight[0].images, straight[1].images);
  const held = viewBatches(streamOf(IMAGES), [[{ height: 9, width: 9 }]], OPTIONS);
  for (const [step, { labels, examples, placesBefore, epoch }] of straight.entries()) {
    assertEquals([...labels], Array.from(examples, (example) => example % 2));
    const fitted = await held.batchAt(step);
    assertEquals([examples, placesBefore, epoch], [fitted.examples, fitted.placesBefore, fitted.epoch]);
  }
  held[Symbol.dispose]();
});

Deno.test("boxes do not depend on the thread that cuts them", async () => {
  const images = Array.from({ length: 70 }, (_, index) => IMAGES[index % IMAGES.length]);
  const few = streamOf(images.slice(0, 8)), many = streamOf(images);
  using alone = viewBatches(few, GROUPS, { batchSize: 8, seed: 1 });
  // 64 images and more are worth threads.
  using threads = viewBatches(many, GROUPS, { batchSize: 70, seed: 1 });
  using pool = new RenderPool(1);
  const { images: boxes, parameters, examples } = await threads.batchAt(0);
  assert(boxes[0].length > 0 && (await alone.batchAt(0)).images[0].length > 0);
  let firstByte = 0;
  for (const [row, example] of examples.entries()) {
    const [{ pieces }] = await pool.run([{
      location: many.locate(example),
      views: GROUPS.flat(),
      key: { seed: 1, step: 0, example, view: 0 },
    }]);
    for (const place of [0, 1]) {
      const { image, draw } = pieces[place], at = (place * 70 + row) * VIEW_PARAMETERS;
      assertEquals(boxes[0].subarray(firstByte, firstByte + image.rgb.length), image.rgb);
      assertEquals([...parameters[0].subarray(at + 1, at + 5)], [0, 0, image.width, image.height]);
      assertEquals(draw, drawView(LARGE, images[example], { seed: 1, step: 0, example, view: place }));
      firstByte += image.rgb.length;
    }
  }
  assertEquals(firstByte, boxes[0].length);
});

const NETWORK = { encoder: "resnet8_narrow", numClasses: 2, height: 18, width: 18 } as const;

/** Losses of three steps of SimCLR. */
async function losses(gpu: Gpu, stream: ImageStream): Promise<number[]> {
  using batches = viewBatches(stream, [[LARGE, LARGE]], OPTIONS);
  const objective = objectiveOf("simclr");
  const options = {
    model: NETWORK,
    objective,
    settings: settingsOf(objective, { projHidden: 16, projOut: 8 }),
    views: [[LARGE, LARGE]],
    source: viewSource(stream, [[LARGE, LARGE]]),
    batchSize: batches.batchSize,
    stepsPerEpoch: batches.stepsPerEpoch,
    normalisation: NORMALISATIONS.imagenet,
    optimiser: { optimiser: "sgd", momentum: 0.9, weightDecay: 1e-4 } as const,
    steps: 3,
    seed: 1,
  };
  const layouts = layoutObjective(options, gpu.maxBindingBytes), model = new DeviceModel(gpu, NETWORK, layouts);
  const { backbone } = initialWeights(layoutModel(NETWORK), 3);
  model.write({
    backbone,
    head: initialHead(layouts.head, 1),
    state: new Float32Array(layouts.state.count).fill(1),
  });
  const session = await SelfSupervisedSession.create(model, options);
  try {
    for (const step of [0, 1, 2]) session.submit(step, await batches.batchAt(step), 0.1, false);
    return (await session.metrics()).map(({ loss }) => loss);
  } finally {
    session.destroy();
    model.destroy();
  }
}

gpuTest("a run learns the same from boxes as from whole images in memory, and not from fitted ones", async (gpu) => {
  const images = Array.from({ length: 8 }, (_, index) => noise(50, 44, 5 + 2 * index));
  const rgb = new Uint8Array(8 * 50 * 44 * 3);
  images.forEach((image, index) => rgb.set(image.rgb, index * image.rgb.length));
  const boxes = streamOf(images), whole = streamOf(images, { images: rgb, height: 50, width: 44 });
  assertEquals(viewSource(whole, [[LARGE]]), { height: 50, width: 44 });
  const expected = await losses(gpu, whole);
  assertEquals(await losses(gpu, boxes), expected);
  const fitted = streamOf(images.map(({ rgb }) => ({ height: 18, width: 18, rgb: rgb.subarray(0, 18 * 18 * 3) })));
  assertNotEquals(await losses(gpu, fitted), expected);
});

Deno.test("views that are not all cut out at random are made of fitted images", () => {
  const mixed = [[LARGE], [{ height: 9, width: 9 }]];
  assertEquals(viewSource(streamOf(IMAGES), mixed), { height: 18, width: 18 });
  assertThrows(
    () =>
      augmentImages("views", scratch("boxes", [2, 8, 8, 3]), scratch("parameters", [2, 24]), scratch("colours", [6]), {
        height: 4,
        width: 4,
        packed: true,
      }),
    TypeError,
    "a resizing to 4 x 4 is required",
  );
  const { images } = buildTrainedNetwork({
    model: NETWORK,
    objective: objectiveOf("swav"),
    settings: settingsOf(objectiveOf("swav"), {}),
    views: [[LARGE, LARGE], [SMALL]],
    source: "boxes",
    batchSize: 3,
    stepsPerEpoch: 1,
    normalisation: NORMALISATIONS.imagenet,
  });
  assertEquals(images.map(({ shape }) => shape), [[6, 36, 36, 3], [3, 18, 18, 3]]);
});

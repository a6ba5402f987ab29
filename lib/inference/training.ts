/**
 * Training on the device: forward, backward and update of one step are one submission; nothing is allocated or awaited.
 *
 * @module
 */

import type { Augmentation } from "../data/augment.ts";
import type { SourceSize } from "../data/augmentation/placements.ts";
import type { Normalisation } from "../data/normalisation.ts";
import type { Gpu } from "../gpu/device.ts";
import { encodeLaunches, type Launch } from "../gpu/launch.ts";
import type { Profiler } from "../gpu/profiler.ts";
import type { Precision } from "../graph/precision.ts";
import { compile, type Program } from "../graph/program.ts";
import { FlatVector, type VectorLayout } from "../graph/vector.ts";
import type { Classifier } from "../models/classifier.ts";
import type { DeviceModel } from "../models/device_model.ts";
import { createExternals } from "../models/externals.ts";
import type { Tensor } from "../ops/operation.ts";
import { DeviceGaussian } from "../priors/device_gaussian.ts";
import { type Gaussian, isotropic } from "../priors/gaussian.ts";
import { coordinateGaussian, type HeadGaussian } from "../priors/head_gaussian.ts";
import { Stream } from "../random/philox.ts";
import { Control } from "../gpu/control.ts";
import { GradientClip } from "./clip.ts";
import { HeadCoordinates, requireAxesFit } from "./head_coordinates.ts";
import { LossScale, type LossScaleOptions } from "./loss_scale.ts";
import { MetricsRing, type StepMetrics } from "./metrics_ring.ts";
import { controlOf, type SamplerSettings } from "./samplers.ts";
import { buildStep, lowerStep } from "./training_step.ts";
import { FlatUpdate } from "./update.ts";

export type { Precision } from "../graph/precision.ts";
export type { LossScaleOptions } from "./loss_scale.ts";

/** What a training run is. */
export interface TrainingOptions {
  /** Examples a step. */
  readonly batchSize: number;
  /** From bytes to inputs: the one that the backbone was pre-trained with. */
  readonly normalisation: Normalisation;
  /** What the device does to the images, by their placements; absent: nothing. */
  readonly augmentation?: Augmentation;
  /** Size of the images before that; the network's unless given. */
  readonly sourceSize?: SourceSize;
  /** Share of a label's mass spread over all classes, 0 to 1; default 0. */
  readonly labelSmoothing?: number;
  /** Sampler or optimiser, and its constants. */
  readonly settings: SamplerSettings;
  /** Bound on the joint norm of the gradients of backbone and head; absent: no clipping. It biases a sampler. */
  readonly clipNorm?: number;
  /** Seed of the noise. */
  readonly seed: number;
  /** Index of the chain, which has noise of its own; default 0. */
  readonly chain?: number;
  /** Prior of the backbone; absent: none. */
  readonly prior?: Gaussian;
  /** Variance of the head's zero-mean Gaussian prior; absent: none. */
  readonly headVariance?: number;
  /** A learned prior of the head, in place of one of `headVariance`. */
  readonly headPrior?: HeadGaussian;
  /** Compute activations again in the backward pass instead of keeping them: same bits, less memory, more time. */
  readonly recompute?: boolean;
  /** How activations and their gradients are stored; default `f32`. */
  readonly precision?: Precision;
  /** How the loss is scaled under `mixed`. */
  readonly lossScale?: LossScaleOptions;
}

/** A batch as `lib/data` makes it. */
export interface Batch {
  /** uint8 [B, H, W, 3], or boxes one behind another: as the session's `sourceSize` says. */
  readonly images: Uint8Array<ArrayBuffer>;
  /** [B, PLACEMENT_PARAMETERS]: required where the session augments. */
  readonly placements?: Float32Array<ArrayBuffer>;
  /** [B] */
  readonly labels: Uint32Array<ArrayBuffer>;
}

/** Optimiser or sampler state, in PyTorch's order: with it and the weights a run resumes exactly. */
export interface SamplerState {
  /** [P]; absent where the sampler keeps nothing. */
  readonly backbone?: Float32Array;
  /** As many elements as the head has. */
  readonly head?: Float32Array;
  /** [4]: the loss scale, steps made since it changed, steps skipped, whether the last one was. */
  readonly lossScale?: Float32Array;
}

function requirePlacements({ placements }: Batch): Float32Array<ArrayBuffer> {
  if (placements !== undefined) return placements;
  throw new TypeError(
    "Cannot submit a step: the session augments images by their placements, and the batch has none; a batch of " +
      "trainingBatches() with the session's augmentation is required",
  );
}

/**
 * The head's prior, over its coordinates where it has axes.
 *
 * @throws TypeError where there are two, or its axes are of another head
 */
function headGaussian({ headPrior, headVariance }: TrainingOptions, layout: VectorLayout): Gaussian | undefined {
  if (headPrior === undefined) {
    return headVariance === undefined ? undefined : isotropic(new Float32Array(layout.count), headVariance);
  }
  if (headVariance !== undefined) {
    throw new TypeError("Cannot train a head under two priors: either headPrior or headVariance is required");
  }
  if (headPrior.axes !== undefined) requireAxesFit(layout, headPrior.axes);
  return coordinateGaussian(headPrior);
}

/** A model in training. */
export class TrainingSession {
  readonly model: DeviceModel;
  readonly options: TrainingOptions;
  readonly #gpu: Gpu;
  readonly #classifier: Classifier;
  readonly #externals: ReadonlyMap<Tensor, GPUBuffer>;
  readonly #gradients: { readonly backbone: FlatVector; readonly head: FlatVector };
  readonly #priors: { readonly backbone?: DeviceGaussian; readonly head?: DeviceGaussian };
  readonly #control: Control;
  readonly #ring: MetricsRing;
  #program!: Program;
  #clip: GradientClip | undefined;
  #lossScale: LossScale | undefined;
  #coordinates: HeadCoordinates | undefined;
  #updates!: { readonly backbone: FlatUpdate; readonly head: FlatUpdate };

  private constructor(model: DeviceModel, options: TrainingOptions) {
    const { gpu, layouts } = model;
    const head = headGaussian(options, layouts.head);
    this.model = model;
    this.options = options;
    this.#gpu = gpu;
    this.#classifier = buildStep(model.config, options);
    this.#externals = createExternals(gpu, "training", this.#classifier, options.normalisation);
    this.#gradients = {
      backbone: new FlatVector(gpu, "gradient", layouts.backbone),
      head: new FlatVector(gpu, "gradient", layouts.head),
    };
    this.#priors = {
      backbone: options.prior && new DeviceGaussian(gpu, layouts.backbone, options.prior),
      head: head && new DeviceGaussian(gpu, layouts.head, head),
    };
    this.#control = new Control(gpu, "training");
    this.#ring = new MetricsRing(gpu);
  }

  /** Compiles the step of a model. */
  static async create(model: DeviceModel, options: TrainingOptions): Promise<TrainingSession> {
    const session = new TrainingSession(model, options);
    const { settings } = options;
    const totals = session.#classifier.totals;
    session.#program = await compile(model.gpu, lowerStep(model.gpu, session.#classifier, options), {
      label: "training",
      vectors: model.vectors,
      gradients: session.#gradients,
      externals: session.#externals,
      keep: [totals],
    });
    const axes = options.headPrior?.axes;
    if (axes !== undefined) {
      session.#coordinates = await HeadCoordinates.create(model, session.#gradients.head, axes);
    }
    const moved = {
      backbone: { theta: model.vectors.backbone, gradient: session.#gradients.backbone },
      head: session.#coordinates ?? { theta: model.vectors.head, gradient: session.#gradients.head },
    };
    const update = (part: "backbone" | "head", stream: number, anchorStream: number) =>
      FlatUpdate.create(model.gpu, session.#control, {
        label: part,
        sampler: settings.sampler,
        nesterov: settings.nesterov,
        theta: moved[part].theta,
        gradient: moved[part].gradient,
        prior: session.#priors[part],
        priorStep: settings.priorStep,
        clipped: options.clipNorm !== undefined,
        // A learned prior already says where the weights belong; the original decays them to zero as well (defect D11).
        decay: settings.compat === true || (part === "backbone" ? options.prior : options.headPrior) === undefined,
        stream,
        anchorStream,
      });
    session.#updates = {
      backbone: await update("backbone", Stream.noise, Stream.anchor),
      head: await update("head", Stream.headNoise, Stream.headAnchor),
    };
    if (options.clipNorm !== undefined) {
      session.#clip = await GradientClip.create(
        model.gpu,
        Object.values(moved).map(({ gradient }) => gradient),
        options.clipNorm,
      );
    }
    const { lossScale } = session.#classifier;
    if (lossScale !== undefined) {
      session.#lossScale = await LossScale.create(model.gpu, session.#externals.get(lossScale)!, {
        gradients: Object.values(session.#gradients),
        statistics: model.vectors.state,
        updates: Object.values(session.#updates).flatMap(({ writing }) => writing),
      }, options.lossScale);
    }
    return session;
  }

  /** Draws the velocities that a SGHMC chain starts with: v ~ N(0, lr T / N). Other samplers start at zero. */
  initialise(learningRate: number): void {
    const { settings, seed, chain } = this.options;
    if (settings.sampler !== "sghmc") return;
    const noise = Math.sqrt(learningRate * settings.temperature / settings.numData);
    this.#control.write({ seed, step: 0xffffffff, chain, noise });
    this.#updates.backbone.initialiseState();
    this.#updates.head.initialiseState();
  }

  /**
   * Submits one step: gradient at the batch, then the update. Returns at once.
   *
   * @param noisy whether the sampler adds noise in this step
   * @param profiler times each launch, from within its `record`
   */
  submit(step: number, batch: Batch, learningRate: number, noisy: boolean, profiler?: Profiler): void {
    this.#ring.requireRoom();
    const { settings, seed, chain = 0 } = this.options;
    const { queue } = this.#gpu.device;
    const { images, placements, labels, totals } = this.#classifier;
    const values = controlOf(settings, { seed, chain, step, learningRate, noisy });
    profiler?.mark("upload");
    this.#gpu.writeBytes(this.#externals.get(images)!, batch.images);
    if (placements) queue.writeBuffer(this.#externals.get(placements)!, 0, requirePlacements(batch));
    queue.writeBuffer(this.#externals.get(labels)!, 0, batch.labels);
    this.#control.write(values);
    profiler?.mark("encode");
    const encoder = this.#gpu.device.createCommandEncoder({ label: "training step" });
    this.#encode((launches) => {
      if (profiler === undefined) encodeLaunches(encoder, "training step", launches);
      else profiler.encode(encoder, launches);
    }, values.priorStep!);
    this.#ring.keep(encoder, step, this.#program.rangeOf(totals), this.#lossScale?.buffer);
    const commands = encoder.finish();
    profiler?.mark("submit");
    queue.submit([commands]);
  }

  /** Encodes all launches of a step, list by list. */
  #encode(encode: (launches: readonly Launch[]) => void, priorStep: number): void {
    const scale = this.#lossScale;
    if (scale !== undefined) encode(scale.before);
    encode(this.#program.launches);
    if (scale !== undefined) encode(scale.after);
    if (this.#coordinates !== undefined) encode(this.#coordinates.enter);
    if (this.#clip !== undefined) {
      encode(this.#updates.backbone.gradientLaunches);
      encode(this.#updates.head.gradientLaunches);
      encode(this.#clip.launches);
    }
    for (const part of ["backbone", "head"] as const) {
      const launches = this.#updates[part].launches(priorStep);
      encode(scale?.guard(launches) ?? launches);
    }
    if (this.#coordinates !== undefined) encode(this.#coordinates.leave);
  }

  /** Steps whose metrics wait to be read; at 64 they must be. */
  get pending(): number {
    return this.#ring.pending;
  }

  /**
   * Reads the metrics of the steps since the last call. Waits for the device.
   *
   * @throws DivergedError at the first loss that is not finite, or where gradients are not, however the loss is scaled
   */
  metrics(): Promise<StepMetrics[]> {
    return this.#ring.read(this.#lossScale !== undefined);
  }

  /** log prior of backbone and head, in nats. Waits for the device. */
  async logPrior(): Promise<number> {
    return await this.#updates.backbone.logPrior() + await this.#updates.head.logPrior();
  }

  /** Reads the sampler's state. Waits for the device. */
  async readState(): Promise<SamplerState> {
    const { backbone, head } = this.#updates;
    return {
      backbone: await backbone.state?.read(),
      head: await head.state?.read(),
      lossScale: await this.#lossScale?.read(),
    };
  }

  /** Writes the sampler's state. */
  writeState(state: SamplerState): void {
    if (state.backbone) this.#updates.backbone.state?.write(state.backbone);
    if (state.head) this.#updates.head.state?.write(state.head);
    if (state.lossScale) this.#lossScale?.write(state.lossScale);
  }

  /** Frees all that the session made; the model stays. */
  destroy(): void {
    this.#clip?.destroy();
    this.#coordinates?.destroy();
    this.#lossScale?.destroy();
    this.#program.destroy();
    this.#externals.forEach((buffer) => this.#gpu.destroyBuffer(buffer));
    this.#ring.destroy();
    this.#control.destroy();
    for (const part of ["backbone", "head"] as const) {
      this.#gradients[part].destroy();
      this.#priors[part]?.destroy();
      this.#updates[part].destroy();
    }
  }
}

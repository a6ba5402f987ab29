/**
 * Training on the device: forward, backward and update of one step are one submission; nothing is allocated or awaited.
 *
 * @module
 */

import type { Normalisation } from "../data/normalisation.ts";
import { DivergedError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { encodeLaunches, type Launch } from "../gpu/launch.ts";
import type { Profiler } from "../gpu/profiler.ts";
import { lowerBackward, lowerForward } from "../graph/graph.ts";
import { packActivations, type Precision } from "../graph/precision.ts";
import { compile, planProgram, type Program } from "../graph/program.ts";
import { lowerRecomputing } from "../graph/recompute.ts";
import { FlatVector } from "../graph/vector.ts";
import { buildClassifier, type Classifier, type ClassifierConfig } from "../models/classifier.ts";
import { type DeviceModel, layoutModel } from "../models/device_model.ts";
import { createExternals } from "../models/externals.ts";
import { type Dispatch, targetOf, type Tensor } from "../ops/operation.ts";
import { LOSS_SCALE_LENGTH } from "../ops/scale_gradient.ts";
import { DeviceGaussian } from "../priors/device_gaussian.ts";
import { type Gaussian, isotropic } from "../priors/gaussian.ts";
import { Stream } from "../random/philox.ts";
import { Control } from "../gpu/control.ts";
import { GradientClip } from "./clip.ts";
import { LossScale, type LossScaleOptions } from "./loss_scale.ts";
import { controlOf, SAMPLERS, type SamplerSettings } from "./samplers.ts";
import { FlatUpdate } from "./update.ts";

/** Steps whose metrics wait on the device at most. */
const RING_SLOTS = 64;
/** Numbers of a slot: the loss's totals, then the state of the loss scale. */
const TOTALS = 3, SLOT_LENGTH = TOTALS + LOSS_SCALE_LENGTH;

export type { Precision } from "../graph/precision.ts";
export type { LossScaleOptions } from "./loss_scale.ts";

/** What a training run is. */
export interface TrainingOptions {
  /** Examples a step. */
  readonly batchSize: number;
  /** From bytes to inputs: the one that the backbone was pre-trained with. */
  readonly normalisation: Normalisation;
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
  /** Compute activations again in the backward pass instead of keeping them: same bits, less memory, more time. */
  readonly recompute?: boolean;
  /** How activations and their gradients are stored; default `f32`. */
  readonly precision?: Precision;
  /** How the loss is scaled under `mixed`. */
  readonly lossScale?: LossScaleOptions;
}

/** A batch as `lib/data` makes it. */
export interface Batch {
  /** uint8 [B, H, W, 3] */
  readonly images: Uint8Array<ArrayBuffer>;
  /** [B] */
  readonly labels: Uint32Array<ArrayBuffer>;
}

/** What a step reported. */
export interface StepMetrics {
  /** Step, from 0. */
  readonly step: number;
  /** Mean cross-entropy over the batch, in nats, before the step's update. */
  readonly loss: number;
  /** Share of the batch that was classified right, 0 to 1, before the step's update. */
  readonly accuracy: number;
  /** Under `mixed`: what the next step's loss is multiplied by. */
  readonly lossScale?: number;
  /** Under `mixed`: steps of the chain so far, this one included, that were skipped for an overflow of f16. */
  readonly skippedSteps?: number;
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

/** Device memory that a run needs, in bytes. */
export interface MemoryEstimate {
  readonly parameters: number;
  readonly gradients: number;
  readonly samplerState: number;
  readonly prior: number;
  readonly activations: number;
  /** Least that any plan of the activations needs. */
  readonly activationsLowerBound: number;
  readonly total: number;
}

/** The classifier of a run's step. */
function buildStep(config: ClassifierConfig, options: TrainingOptions): Classifier {
  return buildClassifier(config, options.batchSize, { ...options, scaledLoss: options.precision === "mixed" });
}

function lowerStep(gpu: Gpu, { graph, totals }: Classifier, { recompute, precision }: TrainingOptions): Dispatch[] {
  const target = targetOf(gpu, { training: true });
  const dispatches = recompute
    ? lowerRecomputing(graph, target)
    : [...lowerForward(graph, target), ...lowerBackward(graph, target)];
  return precision === "mixed" ? packActivations(graph, dispatches, [totals]) : dispatches;
}

/** What a run would allocate; allocates nothing. */
export function estimateMemory(gpu: Gpu, config: ClassifierConfig, options: TrainingOptions): MemoryEstimate {
  const layouts = layoutModel(config, gpu.maxBindingBytes);
  const classifier = buildStep(config, options);
  const plan = planProgram(gpu, lowerStep(gpu, classifier, options), [classifier.totals]);
  const trainable = 4 * (layouts.backbone.paddedCount + layouts.head.paddedCount);
  const rows = options.prior ? 2 + options.prior.rows.length : 0;
  const parts = {
    parameters: trainable + 4 * layouts.state.paddedCount,
    gradients: trainable,
    samplerState: SAMPLERS[options.settings.sampler].stateful ? trainable : 0,
    prior: 4 * layouts.backbone.paddedCount * rows +
      (options.headVariance === undefined ? 0 : 8 * layouts.head.paddedCount),
    activations: plan.slabs.reduce((sum, bytes) => sum + bytes, 0),
  };
  const total = Object.values(parts).reduce((sum, bytes) => sum + bytes, 0);
  return { ...parts, activationsLowerBound: plan.lowerBound, total };
}

/** Refuses to go on from losses or gradients that are not finite. */
function requireFinite(metrics: readonly StepMetrics[]): void {
  const diverged = metrics.find(({ loss, lossScale = 1 }) => !Number.isFinite(loss) || lossScale < 1);
  if (diverged === undefined) return;
  const { step, loss, lossScale } = diverged;
  const found = Number.isFinite(loss) ? "the gradient overflows f16 even at a loss scale of 1" : `the loss is ${loss}`;
  throw new DivergedError(
    `Cannot go on training: at step ${step} ${found}, but a finite one is required; use a smaller learning rate` +
      (lossScale === undefined ? "" : ", or --precision f32: f16 holds activations up to 65504"),
  );
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
  readonly #ring: GPUBuffer;
  #program!: Program;
  #clip: GradientClip | undefined;
  #lossScale: LossScale | undefined;
  #updates!: { readonly backbone: FlatUpdate; readonly head: FlatUpdate };
  #pending: number[] = [];

  private constructor(model: DeviceModel, options: TrainingOptions) {
    const { gpu, layouts } = model;
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
      head: options.headVariance === undefined
        ? undefined
        : new DeviceGaussian(gpu, layouts.head, isotropic(new Float32Array(layouts.head.count), options.headVariance)),
    };
    this.#control = new Control(gpu, "training");
    this.#ring = gpu.createBuffer("metrics ring", RING_SLOTS * SLOT_LENGTH * 4);
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
    const update = (part: "backbone" | "head", stream: number, anchorStream: number) =>
      FlatUpdate.create(model.gpu, session.#control, {
        label: part,
        sampler: settings.sampler,
        nesterov: settings.nesterov,
        theta: model.vectors[part],
        gradient: session.#gradients[part],
        prior: session.#priors[part],
        priorStep: settings.priorStep,
        // A prior already says where the weights belong; the original decays them to zero as well (defect D11).
        clipped: options.clipNorm !== undefined,
        decay: session.#priors[part] === undefined || part === "head" || settings.compat === true,
        stream,
        anchorStream,
      });
    session.#updates = {
      backbone: await update("backbone", Stream.noise, Stream.anchor),
      head: await update("head", Stream.headNoise, Stream.headAnchor),
    };
    if (options.clipNorm !== undefined) {
      session.#clip = await GradientClip.create(model.gpu, Object.values(session.#gradients), options.clipNorm);
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
    if (this.#pending.length === RING_SLOTS) {
      throw new RangeError("Cannot submit a step: the metrics of 64 steps wait to be read");
    }
    const { settings, seed, chain = 0 } = this.options;
    const { queue } = this.#gpu.device;
    const { images, labels, totals } = this.#classifier;
    const values = controlOf(settings, { seed, chain, step, learningRate, noisy });
    profiler?.mark("upload");
    queue.writeBuffer(this.#externals.get(images)!, 0, batch.images);
    queue.writeBuffer(this.#externals.get(labels)!, 0, batch.labels);
    this.#control.write(values);
    profiler?.mark("encode");
    const encoder = this.#gpu.device.createCommandEncoder({ label: "training step" });
    if (profiler !== undefined) this.#encode((launches) => profiler.encode(encoder, launches), values.priorStep!);
    else {
      const pass = encoder.beginComputePass({ label: "training step" });
      this.#encode((launches) => encodeLaunches(pass, launches), values.priorStep!);
      pass.end();
    }
    const { buffer, offset, size } = this.#program.rangeOf(totals);
    const slot = this.#pending.length * SLOT_LENGTH * 4;
    encoder.copyBufferToBuffer(buffer, offset, this.#ring, slot, size);
    if (this.#lossScale) {
      encoder.copyBufferToBuffer(this.#lossScale.buffer, 0, this.#ring, slot + size, LOSS_SCALE_LENGTH * 4);
    }
    const commands = encoder.finish();
    profiler?.mark("submit");
    queue.submit([commands]);
    this.#pending.push(step);
  }

  /** Encodes all launches of a step, list by list. */
  #encode(encode: (launches: readonly Launch[]) => void, priorStep: number): void {
    const scale = this.#lossScale;
    if (scale !== undefined) encode(scale.before);
    encode(this.#program.launches);
    if (scale !== undefined) encode(scale.after);
    if (this.#clip !== undefined) {
      encode(this.#updates.backbone.gradientLaunches);
      encode(this.#updates.head.gradientLaunches);
      encode(this.#clip.launches);
    }
    for (const part of ["backbone", "head"] as const) {
      const launches = this.#updates[part].launches(priorStep);
      encode(scale?.guard(launches) ?? launches);
    }
  }

  /** Steps whose metrics wait to be read; at 64 they must be. */
  get pending(): number {
    return this.#pending.length;
  }

  /**
   * Reads the metrics of the steps since the last call. Waits for the device.
   *
   * @throws DivergedError at the first loss that is not finite, or where gradients are not, however the loss is scaled
   */
  async metrics(): Promise<StepMetrics[]> {
    if (this.#pending.length === 0) return [];
    const numbers = new Float32Array(
      await this.#gpu.read(this.#ring, 0, this.#pending.length * SLOT_LENGTH * 4),
    );
    const metrics = this.#pending.map((step, index): StepMetrics => {
      const slot = numbers.subarray(index * SLOT_LENGTH, (index + 1) * SLOT_LENGTH);
      const [loss, right, count] = slot;
      const scaling = this.#lossScale && { lossScale: slot[TOTALS], skippedSteps: slot[TOTALS + 2] };
      return { step, loss: loss / count, accuracy: right / count, ...scaling };
    });
    this.#pending = [];
    requireFinite(metrics);
    return metrics;
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
    this.#lossScale?.destroy();
    this.#program.destroy();
    this.#externals.forEach((buffer) => this.#gpu.destroyBuffer(buffer));
    this.#gpu.destroyBuffer(this.#ring);
    this.#control.destroy();
    for (const part of ["backbone", "head"] as const) {
      this.#gradients[part].destroy();
      this.#priors[part]?.destroy();
      this.#updates[part].destroy();
    }
  }
}

/**
 * One update of a flat vector on the device: likelihood gradient, Gaussian prior and noise in fused passes.
 *
 * @module
 */

import choleskySource from "../../kernels/cholesky_solve.wgsl" with { type: "text" };
import controlSource from "../../kernels/control.wgsl" with { type: "text" };
import drawWeightsSource from "../../kernels/draw_weights.wgsl" with { type: "text" };
import elementwiseSource from "../../kernels/elementwise.wgsl" with { type: "text" };
import fillNormalSource from "../../kernels/fill_normal.wgsl" with { type: "text" };
import priorStepSource from "../../kernels/prior_step.wgsl" with { type: "text" };
import sumColumnsSource from "../../kernels/sum_columns.wgsl" with { type: "text" };
import workgroupSumSource from "../../kernels/workgroup_sum.wgsl" with { type: "text" };
import type { Gpu } from "../gpu/device.ts";
import { type BufferRange, type Launch, prepareLaunch, submitLaunches } from "../gpu/launch.ts";
import { FlatVector, type Segment, segmentsOf } from "../graph/vector.ts";
import { type LoopShape, shapeLoop } from "../ops/elementwise.ts";
import { type DeviceGaussian, PADDING_PSI } from "../priors/device_gaussian.ts";
import { logNormaliser } from "../priors/gaussian.ts";
import { Stream } from "../random/philox.ts";
import type { Control } from "../gpu/control.ts";
import { philoxSource } from "../gpu/philox.ts";
import { type PriorStep, type SamplerName, SAMPLERS } from "./samplers.ts";

/** Workgroups, and so partial sums, that a pass over the whole vector aims for. */
const MOST_BLOCKS = 1024;

/** Passes of `prior_step.wgsl`. */
const Phase = { explicit: 0, stage: 1, finish: 2, project: 3, gram: 4, combine: 5 } as const;

/** Those that change weights or sampler state. */
const WRITING_PHASES: ReadonlySet<number> = new Set([Phase.explicit, Phase.stage, Phase.finish]);

/** Mean, Psi and rows among the bindings of `prior_step.wgsl`. */
const PRIOR_BINDINGS = [4, 5, 6];

/** Partial sums that a phase leaves. */
function columnsOf(phase: number, rank: number): number {
  if (phase === Phase.gram) return rank * (rank + 1) / 2;
  if (phase === Phase.project) return rank + 1;
  return phase === Phase.stage ? rank : 0;
}

/** What is updated, and how. */
export interface UpdateOptions {
  readonly label: string;
  readonly sampler: SamplerName;
  readonly nesterov?: boolean;
  readonly theta: FlatVector;
  /** Gradient of the mean loss without the prior. The update may overwrite it. */
  readonly gradient: FlatVector;
  readonly prior?: DeviceGaussian;
  readonly priorStep: PriorStep;
  /** Whether weight decay applies to this vector; default true. */
  readonly decay?: boolean;
  /** Leave room for clipping between gradient and update: see {@linkcode FlatUpdate.gradientLaunches}. */
  readonly clipped?: boolean;
  /** Highest words of the counters of the noise, and of draws from the prior (two). */
  readonly stream: number;
  readonly anchorStream: number;
}

function whole(buffer: GPUBuffer): BufferRange {
  return { buffer, offset: 0, size: buffer.size };
}

/** The update of one flat vector. Its launches are built once; `Control` holds what changes from step to step. */
export class FlatUpdate {
  /** Momentum, velocity or running square. */
  readonly state: FlatVector | undefined;
  readonly #gpu: Gpu;
  readonly #options: UpdateOptions;
  readonly #control: Control;
  readonly #rank: number;
  readonly #segments: readonly Segment[];
  readonly #items: number;
  readonly #buffers: Record<
    "none" | "partial" | "projection" | "gram" | "exactGram" | "coefficients" | "weights",
    GPUBuffer
  >;
  #step: readonly Launch[] = [];
  #stepAndGram: readonly Launch[] = [];
  #combine: readonly Launch[] = [];
  #density: readonly Launch[] = [];
  #initialise: readonly Launch[] = [];
  #lastPriorStep = NaN;
  readonly #writing: Launch[] = [];

  private constructor(gpu: Gpu, control: Control, options: UpdateOptions) {
    const { theta, prior, label } = options;
    this.#gpu = gpu;
    this.#options = options;
    this.#control = control;
    this.#rank = prior?.rows.count ?? 0;
    this.#segments = this.#rank > 0 ? prior!.rows.segments : segmentsOf(theta.layout, 1, gpu.maxBindingBytes);
    this.#items = Math.max(16, Math.ceil(theta.layout.paddedCount / (4 * 64 * MOST_BLOCKS)));
    this.state = SAMPLERS[options.sampler].stateful ? new FlatVector(gpu, `${label} state`, theta.layout) : undefined;
    const rank = this.#rank, pairs = Math.max(1, rank * (rank + 1) / 2);
    const buffer = (name: string, floats: number) => gpu.createBuffer(`${label} ${name}`, floats * 4);
    this.#buffers = {
      none: buffer("no state", 4),
      partial: buffer("partial sums", this.#blocks() * Math.max(rank + 1, pairs)),
      projection: buffer("projection", rank + 1),
      gram: buffer("gram", pairs),
      exactGram: buffer("exact gram", pairs),
      coefficients: buffer("coefficients", Math.max(1, rank)),
      weights: buffer("weights of a prior draw", Math.max(1, rank)),
    };
    if (prior !== undefined && rank > 0) {
      const lower = new Float32Array(pairs);
      prior.host.gram.forEach((value, k) => lower[k * (k + 1) / 2 + k] = value);
      gpu.device.queue.writeBuffer(this.#buffers.exactGram, 0, lower);
    }
  }

  /** Builds the launches of an update. */
  static async create(gpu: Gpu, control: Control, options: UpdateOptions): Promise<FlatUpdate> {
    const update = new FlatUpdate(gpu, control, options);
    const { prior, priorStep, sampler } = options;
    const rank = update.#rank;
    const phase = (value: number, exact = false) => update.#phase(value, exact);
    if (options.clipped && prior !== undefined && priorStep === "explicit") {
      update.#combine = [...await update.#project(), ...await phase(Phase.combine)];
      update.#step = update.#stepAndGram = await phase(Phase.explicit);
    } else if (prior === undefined || (priorStep === "explicit" && rank === 0)) {
      update.#step = update.#stepAndGram = await phase(Phase.explicit);
    } else if (rank === 0) {
      update.#step = update.#stepAndGram = await phase(Phase.stage);
    } else if (priorStep === "explicit") {
      update.#step = update.#stepAndGram = [...await update.#project(), ...await phase(Phase.explicit)];
    } else {
      const stage = [
        ...await update.#drawWeights(),
        ...await phase(Phase.stage),
        await update.#sum(Phase.stage, "projection"),
      ];
      const gram = [...await phase(Phase.gram), await update.#sum(Phase.gram, "gram")];
      const finish = [await update.#solve("gram"), ...await phase(Phase.finish)];
      update.#stepAndGram = [...stage, ...gram, ...finish];
      // psgld's k changes with its running square, so its gram does at every step.
      update.#step = sampler === "psgld" ? update.#stepAndGram : [...stage, ...finish];
    }
    if (prior !== undefined) {
      update.#density = [...await phase(Phase.project), await update.#sum(Phase.project, "projection")];
    }
    if (rank > 0 && prior?.images() !== undefined) prior.releaseBuffers();
    if (update.state !== undefined) update.#initialise = await update.#fillNormal(update.state);
    return update;
  }

  /**
   * Launches that complete the gradient before it is clipped: the prior's part of an explicit step. None where the prior is
   * taken implicitly: then the likelihood's gradient alone is clipped.
   */
  get gradientLaunches(): readonly Launch[] {
    return this.#combine;
  }

  /** Those of the launches that change the weights or the sampler's state: without them a step leaves no trace. */
  get writing(): readonly Launch[] {
    return this.#writing;
  }

  /** Launches of one step. `priorStepSize` is k of the step's control: where it is as before, its gram is kept. */
  launches(priorStepSize: number): readonly Launch[] {
    const changed = priorStepSize !== this.#lastPriorStep;
    this.#lastPriorStep = priorStepSize;
    return changed ? this.#stepAndGram : this.#step;
  }

  /** Fills the state with `control.noise` times standard normals: the velocity that a chain starts with. */
  initialiseState(): void {
    submitLaunches(this.#gpu, `${this.#options.label} initial state`, this.#initialise);
  }

  /** log density of the prior at theta, in nats; 0 without a prior. Waits for the device. */
  async logPrior(): Promise<number> {
    const { prior } = this.#options;
    if (prior === undefined) return 0;
    submitLaunches(this.#gpu, `${this.#options.label} log prior`, this.#density);
    const sums = new Float32Array(await this.#gpu.read(this.#buffers.projection));
    let quadratic = sums[this.#rank];
    prior.host.gram.forEach((value, k) => quadratic -= sums[k] ** 2 / (1 + value));
    return logNormaliser(prior.host) - 0.5 * quadratic;
  }

  /** Frees the device memory. */
  destroy(): void {
    this.state?.destroy();
    Object.values(this.#buffers).forEach((buffer) => this.#gpu.destroyBuffer(buffer));
  }

  /** Workgroups of the segments before `end`. */
  #blocks(end = this.#segments.length): number {
    return this.#segments.slice(0, end).reduce((sum, segment) => sum + shapeLoop(this.#shapeOf(segment)).blocks, 0);
  }

  #shapeOf(segment: Segment): LoopShape {
    return { count: segment.length / 4, width: 4, items: this.#items };
  }

  async #phase(phase: number, exact: boolean): Promise<Launch[]> {
    const { label, sampler, theta, gradient, prior, stream, anchorStream, nesterov } = this.#options;
    const kernel = SAMPLERS[sampler];
    const source = controlSource + philoxSource(this.#gpu) + elementwiseSource + kernel.source + priorStepSource;
    const buffers = this.#buffers;
    const rank = this.#rank;
    const launches = await Promise.all(this.#segments.map((segment, index) => {
      const { constants: shape, blocks, groups } = shapeLoop(this.#shapeOf(segment));
      const constants = {
        ...shape,
        PHASE: phase,
        EXACT: exact ? 1 : 0,
        COMBINED: this.#options.clipped && phase === Phase.explicit ? 1 : 0,
        PRIOR: prior ? 1 : 0,
        ROWS_K: rank,
        COLUMNS: columnsOf(phase, rank),
        NOISE: kernel.noise ? 1 : 0,
        NESTEROV: nesterov ? 1 : 0,
        DECAY: this.#options.decay === false ? 0 : 1,
        STREAM: stream,
        ANCHOR_STREAM: anchorStream,
        BASE: segment.globalOffset / 4,
        BLOCKS: blocks,
        FIRST_BLOCK: this.#blocks(index),
      };
      const bindings = [
        whole(this.#control.buffer),
        theta.segment(segment),
        gradient.segment(segment),
        this.state ? this.state.segment(segment) : whole(buffers.none),
      ];
      if (prior) bindings.push(prior.mean.segment(segment), prior.psi.segment(segment));
      if (rank > 0 || phase === Phase.project) {
        const rows = rank > 0 ? prior!.rows.rangeOf(index) : whole(buffers.none);
        bindings.push(rows, whole(buffers.coefficients), whole(buffers.partial), whole(buffers.weights));
      }
      const name = Object.keys(Phase)[phase];
      return prepareLaunch(
        this.#gpu,
        {
          label: `${label} ${name} ${index}`,
          source,
          constants,
          floats: { PADDING_PSI },
          images: prior && rank > 0 ? PRIOR_BINDINGS : [],
          groups,
        },
        bindings,
        rank > 0 ? prior?.images() : undefined,
      );
    }));
    if (WRITING_PHASES.has(phase)) this.#writing.push(...launches);
    return launches;
  }

  /** The low-rank part of the step's draw from the prior, for samplers that need one. */
  async #drawWeights(): Promise<Launch[]> {
    const { label, sampler, anchorStream } = this.#options;
    if (!SAMPLERS[sampler].noise) return [];
    const kernel = {
      label: `${label} draw weights`,
      source: controlSource + philoxSource(this.#gpu) + drawWeightsSource,
      constants: { ROWS_K: this.#rank, STREAM: anchorStream + 1 },
      groups: [1, 1, 1] as const,
    };
    return [await prepareLaunch(this.#gpu, kernel, [whole(this.#control.buffer), whole(this.#buffers.weights)])];
  }

  /** The coefficients of the explicit gradient's low-rank part. */
  async #project(): Promise<Launch[]> {
    if (this.#rank === 0) return [];
    return [
      ...await this.#phase(Phase.project, false),
      await this.#sum(Phase.project, "projection"),
      await this.#solve("exactGram"),
    ];
  }

  /** Adds up the partial sums of a phase. */
  #sum(phase: number, into: "projection" | "gram"): Promise<Launch> {
    const columns = columnsOf(phase, this.#rank), constants = { COLUMNS: columns, ROWS: this.#blocks() };
    const source = workgroupSumSource + sumColumnsSource;
    const kernel = { label: `${this.#options.label} ${into}`, source, constants, groups: [columns, 1, 1] as const };
    return prepareLaunch(this.#gpu, kernel, [whole(this.#buffers.partial), whole(this.#buffers[into])]);
  }

  #solve(gram: "gram" | "exactGram"): Promise<Launch> {
    const kernel = {
      label: `${this.#options.label} solve`,
      source: choleskySource,
      constants: { K: this.#rank },
      groups: [1, 1, 1] as const,
    };
    const { projection, coefficients } = this.#buffers;
    return prepareLaunch(this.#gpu, kernel, [whole(this.#buffers[gram]), whole(projection), whole(coefficients)]);
  }

  #fillNormal(state: FlatVector): Promise<Launch[]> {
    const { label, stream } = this.#options;
    // Not the noise's own stream: the first step would push along the velocity that it starts with.
    const velocityStream = stream === Stream.headNoise ? Stream.headVelocity : Stream.velocity;
    return Promise.all(this.#segments.map((segment, index) => {
      const { constants, groups } = shapeLoop({ count: segment.length / 4, width: 4 });
      const kernel = {
        label: `${label} initial state ${index}`,
        source: controlSource + philoxSource(this.#gpu) + elementwiseSource + fillNormalSource,
        constants: { ...constants, BASE: segment.globalOffset / 4, STREAM: velocityStream },
        groups,
      };
      return prepareLaunch(this.#gpu, kernel, [whole(this.#control.buffer), state.segment(segment)]);
    }));
  }
}

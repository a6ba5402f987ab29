/**
 * Self-supervised training on the device: views, forward, backward and update of one step are one submission; what is
 * clustered behind it has submissions of its own.
 *
 * @module
 */

import type { ViewBatch } from "../../data/augmentation/views.ts";
import { DivergedError } from "../../errors.ts";
import type { Gpu } from "../../gpu/device.ts";
import type { Profiler } from "../../gpu/profiler.ts";
import { type Graph, lowerBackward, lowerForward } from "../../graph/graph.ts";
import { compile, planProgram, type Program } from "../../graph/program.ts";
import { lowerRecomputing } from "../../graph/recompute.ts";
import { FlatVector } from "../../graph/vector.ts";
import { type DeviceModel, layoutGraph, type ModelLayouts } from "../../models/device_model.ts";
import { type Dispatch, targetOf, type Tensor } from "../../ops/operation.ts";
import { sizeOf } from "../../tensor.ts";
import type { Steppable } from "../loop.ts";
import { createOptimiser, type OptimiserSettings, type VectorOptimiser } from "../optimisers/optimiser.ts";
import type { SamplerState } from "../training.ts";
import type { MemoryEstimate } from "../training_step.ts";
import { Memories, requireBindable } from "./memories.ts";
import { estimateOnlineClassifier, OnlineClassifier, type OnlineClassifierOptions } from "./online_classifier.ts";
import { buildTargetNetwork, buildTrainedNetwork, type NetworkOptions, type ObjectiveNetwork } from "./network.ts";
import { encodeAll, TargetNetwork } from "./target_network.ts";

/** Steps whose losses wait on the device at most. */
const RING_SLOTS = 64;

/** What is trained, and how. */
export interface SelfSupervisedOptions extends NetworkOptions {
  readonly optimiser: OptimiserSettings;
  /** Steps of the whole run, on which schedules of the objective depend. */
  readonly steps: number;
  /** Seed of what the objective remembers at first. */
  readonly seed: number;
  /** Compute activations again in the backward pass instead of keeping them: same bits, less memory, more time. */
  readonly recompute?: boolean;
  /** A linear classifier to train along; none unless given. */
  readonly classifier?: OnlineClassifierOptions;
  /** One that sees the features of the momentum network, where there is such a network; none unless given. */
  readonly momentumClassifier?: OnlineClassifierOptions;
}

/** What a step reported. */
export interface LossMetrics {
  /** Step, from 0. */
  readonly step: number;
  /** Loss of the objective, before the step's update. */
  readonly loss: number;
}

/** What a session keeps between steps besides the weights. */
export interface SelfSupervisedState {
  /** Of the optimiser. */
  readonly optimiser: SamplerState;
  /** Of objective, momentum network and classifiers, by name. */
  readonly memories: Readonly<Record<string, Float32Array>>;
}

/** Layouts of the backbone and of what the objective puts above it. */
export function layoutObjective(options: NetworkOptions, maxBindingBytes?: number): ModelLayouts {
  return layoutGraph(buildTrainedNetwork(options).graph, maxBindingBytes);
}

function lowerStep(gpu: Gpu, graph: Graph, recompute = false): Dispatch[] {
  const target = targetOf(gpu, { training: true });
  return recompute
    ? lowerRecomputing(graph, target)
    : [...lowerForward(graph, target), ...lowerBackward(graph, target)];
}

/** What of a step outlives its launches. */
function keptOf({ output, updates, features }: ObjectiveNetwork, { classifier }: SelfSupervisedOptions): Tensor[] {
  return [output, ...updates.map(({ from }) => from), ...classifier ? [features] : []];
}

/**
 * What a run would allocate; allocates nothing.
 *
 * @throws OutOfMemoryError where the objective would remember more than the device can bind
 */
export function estimateSelfSupervised(gpu: Gpu, options: SelfSupervisedOptions): MemoryEstimate {
  const layouts = layoutObjective(options, gpu.maxBindingBytes);
  const trained = buildTrainedNetwork(options), target = buildTargetNetwork(options);
  requireBindable(gpu, trained);
  const plan = planProgram(gpu, lowerStep(gpu, trained.graph, options.recompute), keptOf(trained, options));
  const { classifier, momentumClassifier } = options;
  const targetPlan = target &&
    planProgram(gpu, lowerForward(target.graph, targetOf(gpu, { training: true })), [
      target.output,
      ...momentumClassifier ? [target.features] : [],
    ]);
  const classifiers = [
    ...classifier ? [estimateOnlineClassifier(gpu, trained.features.shape, classifier)] : [],
    ...target && momentumClassifier ? [estimateOnlineClassifier(gpu, target.features.shape, momentumClassifier)] : [],
  ];
  const ofClassifiers = (part: keyof (typeof classifiers)[number]) =>
    classifiers.reduce((sum, estimate) => sum + estimate[part], 0);
  const host = externalSizes(target ? [trained, target] : [trained]).values().reduce((sum, bytes) => sum + bytes, 0);
  const trainable = 4 * (layouts.backbone.paddedCount + layouts.head.paddedCount);
  const parts = {
    parameters: (trainable + 4 * layouts.state.paddedCount) * (target ? 2 : 1) + ofClassifiers("parameters"),
    gradients: trainable + ofClassifiers("gradients"),
    samplerState: trainable * (options.optimiser.optimiser === "adamw" ? 2 : 1) + ofClassifiers("samplerState"),
    prior: 0,
    activations: plan.bytes + (targetPlan?.bytes ?? 0) + ofClassifiers("activations") + host +
      4 * [...trained.memories.keys()].reduce((sum, { shape }) => sum + sizeOf(shape), 0),
  };
  const total = Object.values(parts).reduce((sum, size) => sum + size, 0);
  const activationsLowerBound = plan.lowerBound + (targetPlan?.lowerBound ?? 0) +
    ofClassifiers("activationsLowerBound") + host;
  return { ...parts, activationsLowerBound, total };
}

/** Through which the host meets a network. */
function externalsOf({ images, parameters, constants, inputs, targets }: ObjectiveNetwork): Tensor[] {
  return [...images, ...parameters, ...constants.keys(), ...inputs.keys(), ...targets ? [targets] : []];
}

/** Bytes of networks' externals; what another network has under the same name is shared. */
function externalSizes(networks: readonly ObjectiveNetwork[]): ReadonlyMap<string, number> {
  const sizes = networks.flatMap((network) =>
    externalsOf(network).map((tensor) => {
      return [tensor.name, sizeOf(tensor.shape) * (network.images.includes(tensor) ? 1 : 4)] as const;
    })
  );
  return new Map(sizes);
}

/** The buffers of networks' externals, as {@linkcode externalSizes} says. */
function createExternals(
  gpu: Gpu,
  networks: readonly ObjectiveNetwork[],
): { buffers: Map<string, GPUBuffer>; of(network: ObjectiveNetwork): Map<Tensor, GPUBuffer> } {
  const buffers = new Map(
    externalSizes(networks).entries().map(([name, bytes]) => [name, gpu.createBuffer(name, bytes)]),
  );
  for (const [tensor, values] of networks.flatMap(({ constants }) => [...constants])) {
    gpu.device.queue.writeBuffer(buffers.get(tensor.name)!, 0, values);
  }
  return {
    buffers,
    of: (network) => new Map(externalsOf(network).map((tensor) => [tensor, buffers.get(tensor.name)!])),
  };
}

/** What a session is made of. */
interface Parts {
  readonly network: ObjectiveNetwork;
  readonly externals: ReadonlyMap<Tensor, GPUBuffer>;
  readonly buffers: readonly GPUBuffer[];
  readonly program: Program;
  readonly gradients: readonly FlatVector[];
  readonly optimisers: { readonly backbone: VectorOptimiser; readonly head: VectorOptimiser };
  readonly memories: Memories;
  readonly target: TargetNetwork | undefined;
  readonly classifier: OnlineClassifier | undefined;
  readonly momentumClassifier: OnlineClassifier | undefined;
}

/** A network that learns from views of unlabelled images. */
export class SelfSupervisedSession implements Steppable<ViewBatch, LossMetrics> {
  readonly model: DeviceModel;
  readonly #gpu: Gpu;
  readonly #options: SelfSupervisedOptions;
  readonly #parts: Parts;
  readonly #losses: GPUBuffer;
  #pending: number[] = [];

  private constructor(model: DeviceModel, options: SelfSupervisedOptions, parts: Parts) {
    this.model = model;
    this.#gpu = model.gpu;
    this.#options = options;
    this.#parts = parts;
    this.#losses = model.gpu.createBuffer("losses", RING_SLOTS * 4);
  }

  /** Compiles the step of a model with the layouts of {@linkcode layoutObjective}. */
  static async create(model: DeviceModel, options: SelfSupervisedOptions): Promise<SelfSupervisedSession> {
    const { gpu } = model;
    const network = buildTrainedNetwork(options), targetNetwork = buildTargetNetwork(options);
    requireBindable(gpu, network);
    const shared = createExternals(gpu, targetNetwork ? [network, targetNetwork] : [network]);
    const remembered = Memories.createBuffers(gpu, network, options.seed);
    const externals = new Map([...shared.of(network), ...remembered]);
    const gradient = (part: "backbone" | "head") => new FlatVector(gpu, "gradient", model.layouts[part]);
    const gradients = { backbone: gradient("backbone"), head: gradient("head") };
    const program = await compile(gpu, lowerStep(gpu, network.graph, options.recompute), {
      label: "self-supervised training",
      vectors: model.vectors,
      gradients,
      externals,
      keep: keptOf(network, options),
    });
    const optimiser = (part: "backbone" | "head") =>
      createOptimiser(
        gpu,
        { label: part, theta: model.vectors[part], gradient: gradients[part] },
        options.optimiser,
      );
    const { classifier, momentumClassifier, seed } = options;
    const target = targetNetwork && await TargetNetwork.create(
      model,
      targetNetwork,
      shared.of(targetNetwork),
      externals.get(network.targets!)!,
      momentumClassifier !== undefined,
    );
    return new SelfSupervisedSession(model, options, {
      network,
      externals,
      buffers: [...shared.buffers.values(), ...remembered.values()],
      program,
      gradients: Object.values(gradients),
      optimisers: { backbone: await optimiser("backbone"), head: await optimiser("head") },
      memories: await Memories.create(gpu, network, program, externals, options.seed),
      target,
      classifier: classifier && await OnlineClassifier.create(
        gpu,
        { shape: network.features.shape, range: program.rangeOf(network.features) },
        classifier,
        seed,
      ),
      momentumClassifier: target && momentumClassifier &&
        await OnlineClassifier.create(gpu, target.features, momentumClassifier, seed, "momentum"),
    });
  }

  /** The linear classifier that is trained along, if any. */
  get classifier(): OnlineClassifier | undefined {
    return this.#parts.classifier;
  }

  /** The linear classifier of the momentum network's features, if any. */
  get momentumClassifier(): OnlineClassifier | undefined {
    return this.#parts.momentumClassifier;
  }

  /** The momentum network's weights and running statistics, if there is one. */
  get momentumModel(): DeviceModel | undefined {
    return this.#parts.target?.model;
  }

  /** Submits one step: gradient at the views, then the update. Returns at once. */
  submit(step: number, batch: ViewBatch, learningRate: number, _noisy: boolean, profiler?: Profiler): void {
    if (this.#pending.length === RING_SLOTS) {
      throw new RangeError("Cannot submit a step: the losses of 64 steps wait to be read");
    }
    const { network, externals, program, optimisers, memories, target, classifier, momentumClassifier } = this.#parts;
    const { objective, settings, steps, seed } = this.#options;
    const { queue } = this.#gpu.device;
    profiler?.mark("upload");
    network.images.forEach((tensor, index) => this.#gpu.writeBytes(externals.get(tensor)!, batch.images[index]));
    network.parameters.forEach((tensor, index) =>
      queue.writeBuffer(externals.get(tensor)!, 0, batch.parameters[index])
    );
    for (const [tensor, at] of network.inputs) {
      queue.writeBuffer(externals.get(tensor)!, 0, at({ step, steps, seed, batch }));
    }
    optimisers.backbone.prepare(step, learningRate);
    optimisers.head.prepare(step, learningRate);
    classifier?.prepare(step, batch.labels, learningRate);
    momentumClassifier?.prepare(step, batch.labels, learningRate);
    target?.prepare(objective.momentum!.keep(settings)(step, steps));
    profiler?.mark("encode");
    const encoder = this.#gpu.device.createCommandEncoder({ label: "self-supervised step" });
    target?.encodeForward(encoder, profiler);
    const launches = [
      ...program.launches,
      ...classifier?.launches ?? [],
      ...momentumClassifier?.launches ?? [],
      ...optimisers.backbone.launches,
      ...optimisers.head.launches,
      ...memories.launches,
      ...target?.launches ?? [],
    ];
    encodeAll(encoder, "self-supervised step", launches, profiler);
    memories.encodeRings(encoder, step);
    const { buffer, offset } = program.rangeOf(network.output);
    encoder.copyBufferToBuffer(buffer, offset, this.#losses, this.#pending.length * 4, 4);
    const commands = encoder.finish();
    profiler?.mark("submit");
    queue.submit([commands]);
    memories.submitClusterings(step);
    this.#pending.push(step);
  }

  /** Steps whose losses wait to be read; at 64 they must be. */
  get pending(): number {
    return this.#pending.length;
  }

  /**
   * Reads the losses of the steps since the last call. Waits for the device.
   *
   * @throws DivergedError at the first loss that is not finite
   */
  async metrics(): Promise<LossMetrics[]> {
    if (this.#pending.length === 0) return [];
    const losses = new Float32Array(await this.#gpu.read(this.#losses, 0, this.#pending.length * 4));
    const metrics = this.#pending.map((step, slot) => ({ step, loss: losses[slot] }));
    this.#pending = [];
    const diverged = metrics.find(({ loss }) => !Number.isFinite(loss));
    if (diverged !== undefined) {
      throw new DivergedError(
        `Cannot go on training: the loss at step ${diverged.step} is ${diverged.loss}, but a finite one is ` +
          "required; use a smaller learning rate",
      );
    }
    return metrics;
  }

  /** Reads all that the session keeps besides the weights. Waits for the device. */
  async readState(): Promise<SelfSupervisedState> {
    const { optimisers, memories, target, classifier, momentumClassifier } = this.#parts;
    const weights = await target?.read();
    return {
      optimiser: { backbone: await optimisers.backbone.readState(), head: await optimisers.head.readState() },
      memories: {
        ...await memories.read(),
        ...weights &&
          { targetBackbone: weights.backbone, targetHead: weights.head, targetState: weights.state },
        ...await classifier?.readState(),
        ...await momentumClassifier?.readState(),
      },
    };
  }

  /** Goes on from what {@linkcode readState} gave. */
  writeState({ optimiser, memories }: SelfSupervisedState): void {
    const { optimisers, target, classifier, momentumClassifier } = this.#parts;
    optimisers.backbone.writeState(optimiser.backbone!);
    optimisers.head.writeState(optimiser.head!);
    this.#parts.memories.write(memories);
    const { targetBackbone, targetHead, targetState } = memories;
    target?.model.write({ backbone: targetBackbone, head: targetHead, state: targetState });
    classifier?.writeState(memories);
    momentumClassifier?.writeState(memories);
  }

  /** Frees all that the session made; the model stays. */
  destroy(): void {
    const { program, gradients, buffers, optimisers, memories, target, classifier, momentumClassifier } = this.#parts;
    classifier?.destroy();
    momentumClassifier?.destroy();
    target?.destroy();
    memories.destroy();
    program.destroy();
    gradients.forEach((gradient) => gradient.destroy());
    Object.values(optimisers).forEach((optimiser) => optimiser.destroy());
    [...buffers, this.#losses].forEach((buffer) => this.#gpu.destroyBuffer(buffer));
  }
}

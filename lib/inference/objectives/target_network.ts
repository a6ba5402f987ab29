/**
 * The momentum network: another set of weights that follows the trained ones and is never trained itself.
 *
 * @module
 */

import { encodeLaunches, type Launch } from "../../gpu/launch.ts";
import type { Profiler } from "../../gpu/profiler.ts";
import { lowerForward } from "../../graph/graph.ts";
import { compile, type Program } from "../../graph/program.ts";
import { segmentsOf } from "../../graph/vector.ts";
import { DeviceModel } from "../../models/device_model.ts";
import type { Weights } from "../../models/weights.ts";
import { targetOf, type Tensor } from "../../ops/operation.ts";
import { ExponentialAverage } from "../optimisers/exponential_average.ts";
import type { ObjectiveNetwork } from "./network.ts";
import type { LeftFeatures } from "./online_classifier.ts";

/** A momentum network on the device. */
export class TargetNetwork {
  /** Its own weights and running statistics. */
  readonly model: DeviceModel;
  readonly #network: ObjectiveNetwork;
  readonly #program: Program;
  readonly #average: ExponentialAverage;
  readonly #targets: GPUBuffer;

  private constructor(
    model: DeviceModel,
    network: ObjectiveNetwork,
    program: Program,
    average: ExponentialAverage,
    targets: GPUBuffer,
  ) {
    this.model = model;
    this.#network = network;
    this.#program = program;
    this.#average = average;
    this.#targets = targets;
  }

  /**
   * A network that starts with the weights of the trained one.
   *
   * @param externals buffers of the network's inputs
   * @param targets where its output goes
   * @param keepFeatures whether what its backbone made stays on the device until the next forward pass
   */
  static async create(
    trained: DeviceModel,
    network: ObjectiveNetwork,
    externals: ReadonlyMap<Tensor, GPUBuffer>,
    targets: GPUBuffer,
    keepFeatures = false,
  ): Promise<TargetNetwork> {
    const { gpu } = trained;
    const model = new DeviceModel(gpu, trained.config, trained.layouts);
    const parts = ["backbone", "head", "state"] as const;
    parts.forEach((part) => model.vectors[part].copyFrom(trained.vectors[part]));
    const program = await compile(gpu, lowerForward(network.graph, targetOf(gpu, { training: true })), {
      label: "momentum network",
      vectors: model.vectors,
      externals,
      keep: [network.output, ...keepFeatures ? [network.features] : []],
    });
    const ranges = (["backbone", "head"] as const).flatMap((part) =>
      segmentsOf(trained.layouts[part], 1, gpu.maxBindingBytes).map((segment) => ({
        average: model.vectors[part].segment(segment),
        value: trained.vectors[part].segment(segment),
      }))
    );
    const average = await ExponentialAverage.create(gpu, "momentum network", ranges);
    return new TargetNetwork(model, network, program, average, targets);
  }

  /** The features of the large views, where they were to be kept. */
  get features(): LeftFeatures {
    return { shape: this.#network.features.shape, range: this.#program.rangeOf(this.#network.features) };
  }

  /** Encodes the forward pass, whose result the trained network reads. */
  encodeForward(encoder: GPUCommandEncoder, profiler?: Profiler): void {
    encodeAll(encoder, "momentum network", this.#program.launches, profiler);
    const { buffer, offset, size } = this.#program.rangeOf(this.#network.output);
    encoder.copyBufferToBuffer(buffer, offset, this.#targets, 0, size);
  }

  /** Sets the share of the weights that stays in the step that is submitted next. */
  prepare(keep: number): void {
    this.#average.prepare(keep);
  }

  /** Launches that move the weights towards the trained ones. */
  get launches(): readonly Launch[] {
    return this.#average.launches;
  }

  /** Reads weights and running statistics. Waits for the device. */
  read(): Promise<Weights> {
    return this.model.read();
  }

  /** Frees the device memory. */
  destroy(): void {
    this.#average.destroy();
    this.#program.destroy();
    this.model.destroy();
  }
}

/** Encodes launches in one pass, or each in its own where they are profiled. */
export function encodeAll(
  encoder: GPUCommandEncoder,
  label: string,
  launches: readonly Launch[],
  profiler?: Profiler,
): void {
  if (profiler !== undefined) return profiler.encode(encoder, launches);
  encodeLaunches(encoder, label, launches);
}

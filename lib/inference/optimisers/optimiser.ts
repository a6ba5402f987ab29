/**
 * Optimisers of networks that have no prior: what pre-training uses.
 *
 * @module
 */

import { Control } from "../../gpu/control.ts";
import type { Gpu } from "../../gpu/device.ts";
import type { Launch } from "../../gpu/launch.ts";
import type { FlatVector } from "../../graph/vector.ts";
import { Stream } from "../../random/philox.ts";
import { FlatUpdate } from "../update.ts";
import { AdamW } from "./adamw.ts";
import { Lars } from "./lars.ts";

/** The optimisers by name. */
export const OPTIMISERS = ["sgd", "lars", "adamw"] as const;

/** A name of {@linkcode OPTIMISERS}. */
export type OptimiserName = typeof OPTIMISERS[number];

/** Which optimiser, and its constants. */
export interface OptimiserSettings {
  /** Which one. */
  readonly optimiser: OptimiserName;
  /** Share of the last update that sgd and lars keep. */
  readonly momentum: number;
  /** Added to the gradient as weightDecay * theta; of adamw, taken off the weights themselves. */
  readonly weightDecay: number;
  /** Of lars: rate of a tensor whose gradient is as long as its weights; default 1e-3. */
  readonly trust?: number;
  /** Of lars: never more than the learning rate itself; default false. */
  readonly clip?: boolean;
  /** Of lars: biases and scales keep the common rate and are not decayed; default true. */
  readonly excludeVectors?: boolean;
}

/** A flat vector and the gradient of its loss. */
export interface TrainedVector {
  /** In labels. */
  readonly label: string;
  readonly theta: FlatVector;
  /** The update may overwrite it. */
  readonly gradient: FlatVector;
}

/** The update of one flat vector. */
export interface VectorOptimiser {
  /** Launches of one step. */
  readonly launches: readonly Launch[];
  /** Sets the values of a step, counted from 0; they hold for what is submitted next. */
  prepare(step: number, learningRate: number): void;
  /** What it keeps between steps. Waits for the device. */
  readState(): Promise<Float32Array>;
  /** Writes what {@linkcode readState} gave. */
  writeState(state: Float32Array): void;
  /** Frees the device memory. */
  destroy(): void;
}

/** SGD with momentum, alone or behind LARS. */
class Momentum implements VectorOptimiser {
  readonly launches: readonly Launch[];
  readonly #control: Control;
  readonly #update: FlatUpdate;
  readonly #lars: Lars | undefined;
  readonly #settings: OptimiserSettings;

  private constructor(control: Control, update: FlatUpdate, lars: Lars | undefined, settings: OptimiserSettings) {
    this.#control = control;
    this.#update = update;
    this.#lars = lars;
    this.#settings = settings;
    // Without a prior the launches do not depend on its step.
    this.launches = [...lars?.launches ?? [], ...update.launches(0)];
  }

  static async create(gpu: Gpu, vector: TrainedVector, settings: OptimiserSettings): Promise<Momentum> {
    const control = new Control(gpu, vector.label);
    const { trust = 1e-3, clip = false, excludeVectors = true } = settings;
    const lars = settings.optimiser === "lars"
      ? await Lars.create(gpu, control, vector, { trust, clip, excludeVectors })
      : undefined;
    const update = await FlatUpdate.create(gpu, control, {
      ...vector,
      sampler: "sgd",
      priorStep: "explicit",
      decay: lars === undefined,
      stream: Stream.noise,
      anchorStream: Stream.anchor,
    });
    return new Momentum(control, update, lars, settings);
  }

  prepare(step: number, learningRate: number): void {
    const { momentum, weightDecay } = this.#settings;
    this.#control.write({ seed: 0, step, learningRate, momentum, weightDecay });
  }

  readState(): Promise<Float32Array> {
    return this.#update.state!.read();
  }

  writeState(state: Float32Array): void {
    this.#update.state!.write(state);
  }

  destroy(): void {
    this.#control.destroy();
    this.#update.destroy();
    this.#lars?.destroy();
  }
}

/** Builds the optimiser of one flat vector. */
export async function createOptimiser(
  gpu: Gpu,
  vector: TrainedVector,
  settings: OptimiserSettings,
): Promise<VectorOptimiser> {
  return settings.optimiser === "adamw"
    ? await AdamW.create(gpu, vector, { weightDecay: settings.weightDecay })
    : await Momentum.create(gpu, vector, settings);
}

/**
 * What the bench asks of a system that trains: the same problem, the same first weights, steps on one batch.
 *
 * @module
 */

/** A tensor of the flat weights, as PyTorch names and shapes it. */
export interface NamedShape {
  readonly name: string;
  /** [O, I, KH, KW], [O, I] or [C]. */
  readonly shape: readonly number[];
}

/** A training problem, the same for all systems: one batch, on which every step is taken. */
export interface Problem {
  /** Name of a residual network, as `resnet20`. */
  readonly encoder: string;
  readonly batchSize: number;
  readonly numClasses: number;
  /** Rows and columns of an image. */
  readonly size: number;
  /** uint8 [B, H, W, 3] */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The same images normalised: [B, H, W, 3]. */
  readonly images: Float32Array<ArrayBuffer>;
  /** [B] */
  readonly labels: Uint32Array<ArrayBuffer>;
  /** Tensors of the weights in order: backbone, then head. */
  readonly parameters: readonly NamedShape[];
  /** First weights, flat, in PyTorch's order and layout. */
  readonly weights: Float32Array<ArrayBuffer>;
  readonly learningRate: number;
  /** Of SGD, without Nesterov. */
  readonly momentum: number;
}

/** A system at work on a problem: forward pass, backward pass and momentum SGD in each step. */
export interface Trainer {
  /** Takes steps and waits until they are done. Resolves to the last step's mean loss, before its update, in nats. */
  steps(count: number): Promise<number>;
  /** The weights now, flat, in PyTorch's order and layout. */
  weights(): Promise<Float32Array>;
  /** Gives back what it holds. */
  close(): void | Promise<void>;
}

/** A system that the bench compares. */
export interface Peer {
  /** Name and version, for the table. */
  readonly name: string;
  /** Whether it knows the network of that name. */
  trains(encoder: string): boolean;
  /** Loads weights and builds the step; rejects where the system is missing or cannot train the network. */
  open(problem: Problem): Promise<Trainer>;
}

/** The parameters with their place in the flat weights. */
export function placesOf(parameters: readonly NamedShape[]): (NamedShape & { offset: number; length: number })[] {
  let offset = 0;
  return parameters.map(({ name, shape }) => {
    const length = shape.reduce((product, size) => product * size, 1);
    const place = { name, shape, offset, length };
    offset += length;
    return place;
  });
}

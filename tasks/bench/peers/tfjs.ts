/**
 * TensorFlow.js on its WebGPU backend.
 *
 * @module
 */

import { cifarDepth, cifarLogits, type CifarOperations } from "./cifar.ts";
import { type NamedShape, type Peer, placesOf, type Problem, type Trainer } from "./peer.ts";

const PACKAGE = "npm:@tensorflow/tfjs@4.22.0";
const BACKEND = "npm:@tensorflow/tfjs-backend-webgpu@4.22.0";

// deno-lint-ignore no-explicit-any -- the package is imported when the bench runs, so that nothing else ever loads it
type TensorFlow = any;
// deno-lint-ignore no-explicit-any
type Tensor = any;

/** [N, H, W, C] */
function operations(tf: TensorFlow, of: (name: string) => Tensor): CifarOperations<Tensor> {
  return {
    conv: (x, weight, stride) => tf.conv2d(x, of(weight), stride, 1),
    norm(x, name) {
      const { mean, variance } = tf.moments(x, [0, 1, 2]);
      return tf.batchNorm(x, mean, variance, of(`${name}.bias`), of(`${name}.weight`), 1e-5);
    },
    relu: (x) => tf.relu(x),
    add: (a, b) => tf.add(a, b),
    shortcut(x, extra) {
      // stridedSlice has no gradient; a 1x1 mean with stride 2 takes the same elements.
      return tf.pad(tf.avgPool(x, 1, 2, "valid"), [[0, 0], [0, 0], [0, 0], [extra, extra]]);
    },
    share: (x) => x,
    head: (x) => tf.add(tf.matMul(tf.mean(x, [1, 2]), of("linear.weight")), of("linear.bias")),
  };
}

/** Axes that turn PyTorch's order into TensorFlow's; and back, where `inverse`. */
function axesOf({ shape }: NamedShape, inverse: boolean): number[] {
  if (shape.length === 4) return inverse ? [3, 2, 0, 1] : [2, 3, 1, 0];
  return shape.length === 2 ? [1, 0] : [0];
}

async function load(): Promise<TensorFlow> {
  const tf = await import(PACKAGE);
  await import(BACKEND);
  tf.env().set("PROD", true);
  if (!await tf.setBackend("webgpu")) throw new Error("Cannot open TensorFlow.js on WebGPU: the backend refused");
  await tf.ready();
  return tf;
}

async function open(problem: Problem): Promise<Trainer> {
  const tf = await load();
  const { batchSize, size, numClasses, learningRate, momentum } = problem;
  const places = placesOf(problem.parameters);
  const variables = new Map<string, Tensor>(places.map((place) => {
    const { name, shape, offset, length } = place;
    const value = tf.tensor(problem.weights.slice(offset, offset + length), [...shape]);
    const variable = tf.variable(tf.transpose(value, axesOf(place, false)));
    value.dispose();
    return [name, variable];
  }));
  const images = tf.tensor(problem.images, [batchSize, size, size, 3]);
  const targets = tf.oneHot(tf.tensor1d(Int32Array.from(problem.labels), "int32"), numClasses).toFloat();
  const on = operations(tf, (name) => variables.get(name)!);
  const loss = () => tf.losses.softmaxCrossEntropy(targets, cifarLogits(on, problem, images));
  const optimizer = tf.train.momentum(learningRate, momentum);
  return {
    async steps(count) {
      let value: Tensor;
      for (let i = 0; i < count; i++) {
        value?.dispose();
        value = optimizer.minimize(loss, true, [...variables.values()]);
      }
      return (await value.data())[0];
    },
    async weights() {
      const flat = new Float32Array(problem.weights.length);
      for (const place of places) {
        const value = tf.transpose(variables.get(place.name)!, axesOf(place, true));
        flat.set(await value.data(), place.offset);
        value.dispose();
      }
      return flat;
    },
    close() {
      optimizer.dispose();
      for (const tensor of [...variables.values(), images, targets]) tensor.dispose();
    },
  };
}

const trains = (encoder: string) => cifarDepth(encoder) !== undefined;

/** TensorFlow.js. */
export const tfjsPeer: Peer = { name: "tfjs-backend-webgpu 4.22.0", trains, open };

/**
 * jax-js on its WebGPU backend: the whole step is one compiled function.
 *
 * @module
 */

import { cifarDepth, cifarLogits, type CifarOperations } from "./cifar.ts";
import { type Peer, placesOf, type Problem, type Trainer } from "./peer.ts";

const PACKAGE = "npm:@jax-js/jax@0.1.25";

// deno-lint-ignore no-explicit-any -- the package is imported when the bench runs, so that nothing else ever loads it
type Jax = any;
/** An array of jax-js: every use consumes a reference, `ref` adds one. */
// deno-lint-ignore no-explicit-any
type Tensor = any;

/** [N, C, H, W] */
function operations({ numpy: np, lax, nn }: Jax, of: (name: string) => Tensor): CifarOperations<Tensor> {
  const perChannel = (vector: Tensor) => vector.reshape([1, -1, 1, 1]);
  return {
    conv: (x, weight, stride) => lax.convGeneralDilated(x, of(weight), [stride, stride], [[1, 1], [1, 1]]),
    norm(x, name) {
      const mean = np.mean(x.ref, [0, 2, 3], { keepdims: true });
      const centred = x.sub(mean);
      const variance = np.mean(np.square(centred.ref), [0, 2, 3], { keepdims: true });
      const scale = perChannel(of(`${name}.weight`)).div(np.sqrt(variance.add(1e-5)));
      return centred.mul(scale).add(perChannel(of(`${name}.bias`)));
    },
    relu: (x) => nn.relu(x),
    add: (a, b) => a.add(b),
    shortcut(x, extra) {
      const [n, c, h, w] = x.shape;
      const halved = x.reshape([n, c, h / 2, 2, w / 2, 2]).slice([], [], [], 0, [], 0);
      return np.pad(halved, [[0, 0], [extra, extra], [0, 0], [0, 0]]);
    },
    share: (x) => x.ref,
    head: (x) => np.matmul(np.mean(x, [2, 3]), of("linear.weight").transpose()).add(of("linear.bias")),
  };
}

/** [N, H, W, 3] to [N, 3, H, W]. */
function channelsFirst({ images, batchSize, size }: Problem): Float32Array<ArrayBuffer> {
  const result = new Float32Array(images.length), area = size * size;
  for (let n = 0; n < batchSize; n++) {
    for (let position = 0; position < area; position++) {
      for (let c = 0; c < 3; c++) result[(n * 3 + c) * area + position] = images[(n * area + position) * 3 + c];
    }
  }
  return result;
}

async function open(problem: Problem): Promise<Trainer> {
  const jax: Jax = await import(PACKAGE);
  const devices = await jax.init("webgpu");
  if (!devices.includes("webgpu")) throw new Error(`Cannot open jax-js on WebGPU: found ${devices}`);
  jax.defaultDevice("webgpu");
  const { numpy: np, nn } = jax;
  const { batchSize, size, numClasses, learningRate, momentum } = problem;
  const places = placesOf(problem.parameters);
  const indexOf = new Map(places.map(({ name }, index) => [name, index]));
  const loss = (parameters: Tensor[], images: Tensor, targets: Tensor): Tensor => {
    const logits = cifarLogits(operations(jax, (name) => parameters[indexOf.get(name)!]), problem, images);
    return np.sum(nn.logSoftmax(logits).mul(targets)).mul(-1 / batchSize);
  };
  const step = jax.jit((parameters: Tensor[], velocities: Tensor[], images: Tensor, targets: Tensor) => {
    const [value, gradients] = jax.valueAndGrad(loss)(parameters.map((p) => p.ref), images, targets);
    const moved = velocities.map((velocity, i) => velocity.mul(momentum).add(gradients[i]));
    const updated = parameters.map((parameter, i) => parameter.sub(moved[i].ref.mul(learningRate)));
    return [value, updated, moved];
  });
  const oneHot = new Float32Array(batchSize * numClasses);
  problem.labels.forEach((label, n) => oneHot[n * numClasses + label] = 1);
  const images = np.array(channelsFirst(problem)).reshape([batchSize, 3, size, size]);
  const targets = np.array(oneHot).reshape([batchSize, numClasses]);
  let parameters: Tensor[] = places.map(({ shape, offset, length }) =>
    np.array(problem.weights.slice(offset, offset + length)).reshape([...shape])
  );
  let velocities: Tensor[] = places.map(({ shape }) => np.zeros([...shape]));
  return {
    async steps(count) {
      let value: Tensor;
      for (let i = 0; i < count; i++) {
        value?.dispose();
        [value, parameters, velocities] = step(parameters, velocities, images.ref, targets.ref);
      }
      await jax.blockUntilReady(parameters);
      return (await value.data())[0];
    },
    async weights() {
      const flat = new Float32Array(problem.weights.length);
      for (const [i, { offset }] of places.entries()) flat.set(await parameters[i].ref.data(), offset);
      return flat;
    },
    close() {
      for (const tensor of [...parameters, ...velocities, images, targets]) tensor.dispose();
    },
  };
}

const trains = (encoder: string) => cifarDepth(encoder) !== undefined;

/** jax-js. */
export const jaxPeer: Peer = { name: "jax-js 0.1.25 (WebGPU)", trains, open };

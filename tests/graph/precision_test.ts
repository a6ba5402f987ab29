import { assert, assertEquals } from "@std/assert";
import { declaredBindings } from "../../kernels/bindings.ts";
import { expand } from "../../kernels/template.ts";
import { narrowFloat16, widenFloat16 } from "../../lib/checkpoint/half.ts";
import type { Gpu, KernelSchedule } from "../../lib/gpu/device.ts";
import { prepareLaunch, submitLaunches } from "../../lib/gpu/launch.ts";
import { Graph, lowerBackward, lowerForward } from "../../lib/graph/graph.ts";
import { planMemory } from "../../lib/graph/plan.ts";
import { packActivations } from "../../lib/graph/precision.ts";
import { lowerRecomputing } from "../../lib/graph/recompute.ts";
import { buildClassifier } from "../../lib/models/classifier.ts";
import { add } from "../../lib/ops/add.ts";
import { arithmetic } from "../../lib/ops/arithmetic.ts";
import { conv2d } from "../../lib/ops/conv2d.ts";
import { TILES } from "../../lib/ops/gemm_tile.ts";
import { layerNorm } from "../../lib/ops/layer_norm.ts";
import { linear } from "../../lib/ops/linear.ts";
import { concat, pad, transpose } from "../../lib/ops/movement.ts";
import { bytesOf, type Dispatch, storageOf, type Target, targetOf, type Tensor } from "../../lib/ops/operation.ts";
import { averagePool, globalAveragePool, maxPool } from "../../lib/ops/pool.ts";
import { reduceMean } from "../../lib/ops/reduce.ts";
import { relu } from "../../lib/ops/relu.ts";
import { reshape } from "../../lib/ops/reshape.ts";
import { softmax } from "../../lib/ops/softmax.ts";
import { softmaxCrossEntropy } from "../../lib/ops/softmax_cross_entropy.ts";
import { unary } from "../../lib/ops/unary.ts";
import { sizeOf } from "../../lib/tensor.ts";
import { gpuTests } from "../gpu/harness.ts";
import { hashedValues } from "../reference/hashed.ts";

const gpuTest = gpuTests();

/** A graph that has every operation which may store f16 and no ResNet has. */
function assortedGraph(): { graph: Graph; totals: Tensor } {
  const graph = new Graph();
  const images = graph.external("images", [2, 9, 9, 4]), labels = graph.external("labels", [2]);
  const kernel = (name: string, shape: number[]) => graph.parameter("backbone", name, "convolution", shape);
  const vector = (name: string, size: number) => graph.parameter("backbone", name, "vector", [size]);
  const stem = graph.apply(
    conv2d("stem", images, kernel("stem.weight", [32, 4, 3, 3]), { bias: vector("stem.bias", 32) }),
  );
  const pooled = graph.apply(maxPool("max", stem, { kernel: 2, stride: 1 }));
  const padded = graph.apply(pad("pad", pooled, { before: [0, 1, 1, 0], after: [0, 1, 1, 0] }));
  const grouped = graph.apply(conv2d("grouped", padded, kernel("grouped.weight", [32, 4, 3, 3]), { groups: 8 }));
  const depthwise = graph.apply(conv2d("depthwise", grouped, kernel("depthwise.weight", [32, 1, 3, 3]), {
    groups: 32,
    padding: 1,
  }));
  const normed = graph.apply(
    layerNorm("norm", depthwise, { weight: vector("norm.weight", 32), bias: vector("norm.bias", 32) }),
  );
  const active = graph.apply(unary("gelu", normed, { kind: "gelu" }));
  const product = graph.apply(arithmetic("product", "mul", active, pooled));
  const sum = graph.apply(add("sum", product, pooled));
  const rectified = graph.apply(relu("relu", sum));
  const smoothed = graph.apply(averagePool("average", rectified, { kernel: 2 }));
  const joined = graph.apply(concat("concat", [smoothed, smoothed]));
  const turned = graph.apply(transpose("turn", joined, [0, 2, 1, 3]));
  const scale = graph.apply(reduceMean("scale", turned, [1, 2]));
  const shares = graph.apply(softmax("shares", scale));
  const scaled = graph.apply(arithmetic("scaled", "mul", turned, shares));
  const flat = graph.apply(reshape("flat", graph.apply(globalAveragePool("pool", scaled)), [2, 64]));
  const weight = graph.parameter("head", "fc.weight", "linear", [5, 64]);
  const logits = graph.apply(linear("fc", flat, weight, graph.parameter("head", "fc.bias", "vector", [5])));
  return { graph, totals: graph.apply(softmaxCrossEntropy("loss", logits, labels)) };
}

const GRAPHS: Readonly<Record<string, () => { graph: Graph; totals: Tensor }>> = {
  "resnet20": () => buildClassifier({ encoder: "resnet20", numClasses: 10, height: 32, width: 32 }, 2),
  "resnet50": () => buildClassifier({ encoder: "resnet50", numClasses: 10, height: 32, width: 32 }, 2),
  "a graph of other operations": assortedGraph,
};

const lower = (graph: Graph, target: Target) => [...lowerForward(graph, target), ...lowerBackward(graph, target)];
const isPacked = (tensor: Tensor) => storageOf(tensor).elements === "f16";

/** Bits of each binding after a launch, packed as the dispatch says or all f32; the same f16 numbers lie in both. */
async function run(gpu: Gpu, dispatch: Dispatch, packed: boolean): Promise<Map<Tensor, Uint32Array<ArrayBuffer>>> {
  const declared = declaredBindings(expand(dispatch.source.split("@compute")[0], dispatch.constants, dispatch.floats));
  const buffers = new Map<Tensor, GPUBuffer>();
  dispatch.bindings.map(storageOf).forEach((tensor, index) => {
    if (buffers.has(tensor)) return;
    const size = Math.ceil(sizeOf(tensor.shape) / 4) * 4;
    // Statistics and weights are positive, so that no root is taken of a negative number; words are small integers.
    const values = widenFloat16(narrowFloat16(
      isPacked(tensor) ? hashedValues(index, size, 2) : hashedValues(index, size, 0.5, 1),
    ));
    const data = declared.get(index)!.width === 0
      ? Uint32Array.from(values, (value) => Math.round(4 * value) * 0x01010101)
      : packed && isPacked(tensor)
      ? narrowFloat16(values)
      : values;
    const buffer = gpu.createBuffer(tensor.name, data.byteLength);
    gpu.device.queue.writeBuffer(buffer, 0, data as Float32Array<ArrayBuffer>);
    buffers.set(tensor, buffer);
  });
  const indices = dispatch.bindings.flatMap((tensor, index) => isPacked(tensor) ? [index] : []);
  const ranges = dispatch.bindings.map((tensor) => {
    const buffer = buffers.get(storageOf(tensor))!;
    return { buffer, offset: 0, size: buffer.size };
  });
  submitLaunches(gpu, "test", [await prepareLaunch(gpu, { ...dispatch, packed: packed ? indices : [] }, ranges)]);
  const results = new Map<Tensor, Uint32Array<ArrayBuffer>>();
  for (const [tensor, buffer] of buffers) {
    results.set(tensor, new Uint32Array(await gpu.read(buffer)));
    gpu.destroyBuffer(buffer);
  }
  return results;
}

/** Index of the first number whose bits are more than `steps` from the wanted ones; -1 where there is none. */
function firstBeyond(found: Uint16Array | Uint32Array, wanted: Uint16Array | Uint32Array, steps: number): number {
  return found.findIndex((bits, i) => Math.abs(bits - wanted[i]) > steps);
}

/** Softmax writes its output, reads it back and scales it: it rounds twice. */
const steps = (label: string) => label === "shares forward" ? 1 : 0;

for (const schedule of ["cpu", "gpu"] as const satisfies readonly KernelSchedule[]) {
  // Of all graphs: building a kernel twice takes long.
  const done = new Set<string>();
  for (const [name, build] of Object.entries(GRAPHS)) {
    gpuTest(`${name}, schedule ${schedule}: packed launches leave the f16 nearest to what f32 ones do`, async (gpu) => {
      const { graph, totals } = build();
      const dispatches = packActivations(graph, lower(graph, { ...targetOf(gpu, { training: true }), schedule }), [
        totals,
      ]);
      const seen = new Set<string>();
      const elements = ({ bindings }: Dispatch) => bindings.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
      // Of launches that are alike the smallest.
      for (const dispatch of dispatches.toSorted((a, b) => elements(a) - elements(b))) {
        const { source, constants, bindings, label } = dispatch;
        // Flags and widths: sizes change nothing that is rewritten.
        const flags = Object.entries(constants).filter(([name, value]) =>
          value <= 4 && !/SIZE|STRIDE|INNER/.test(name)
        );
        const key = JSON.stringify([source, flags, bindings.map(isPacked)]);
        if (!bindings.some(isPacked)) continue;
        seen.add(key);
        if (done.has(key)) continue;
        done.add(key);
        const plain = await run(gpu, dispatch, false), packed = await run(gpu, dispatch, true);
        for (const [tensor, bits] of plain) {
          const found = packed.get(tensor)!;
          const at = isPacked(tensor)
            ? firstBeyond(new Uint16Array(found.buffer), narrowFloat16(new Float32Array(bits.buffer)), steps(label))
            : firstBeyond(found, bits, 0);
          assert(at < 0, `${label}, ${tensor.name}: element ${at} differs`);
        }
      }
      assert(seen.size >= 15, `only ${seen.size} launches are packed`);
    });
  }
}

const GPU_TARGET: Target = { schedule: "gpu", subgroupSize: 32, tiles: TILES, training: true };
const TARGETS: Readonly<Record<KernelSchedule, Target>> = {
  cpu: { ...GPU_TARGET, schedule: "cpu", subgroupSize: 8 },
  gpu: GPU_TARGET,
};

for (const schedule of ["cpu", "gpu"] as const satisfies readonly KernelSchedule[]) {
  for (const [encoder, batch, side] of [["resnet20", 128, 32], ["resnet50", 32, 224]] as const) {
    for (const recompute of [false, true]) {
      const how = `${encoder}, batch ${batch}, schedule ${schedule}${recompute ? ", recomputing" : ""}`;
      Deno.test(`mixed precision halves the memory of activations: ${how}`, () => {
        const config = { encoder, numClasses: 1000, height: side, width: side };
        const { graph, totals } = buildClassifier(config, batch);
        const target = TARGETS[schedule];
        const dispatches = recompute ? lowerRecomputing(graph, target) : lower(graph, target);
        const bytesFor = (launches: readonly Dispatch[]) =>
          planMemory(launches, new Set([totals]), 2 ** 30).slabs.reduce((sum, bytes) => sum + bytes, 0);
        const plain = bytesFor(dispatches), packed = bytesFor(packActivations(graph, dispatches, [totals]));
        // The rest: input, logits, partial sums, transposed weights.
        assert(packed / plain >= 0.5 && packed / plain < 0.55, `${packed} of ${plain} bytes: ${packed / plain}`);
      });
    }
  }
}

Deno.test("packActivations() stores f16 in outputs and their gradients alone, and in none that the host reads", () => {
  const { graph, logits, totals } = buildClassifier({ encoder: "resnet20", numClasses: 16, height: 32, width: 32 }, 2);
  const features = graph.operations.find(({ kind }) => kind === "averagePool")!.output;
  const packedIn = (keep: readonly Tensor[]) => {
    const dispatches = packActivations(graph, lowerRecomputing(graph, GPU_TARGET), keep);
    return new Set(dispatches.flatMap(({ bindings }) => bindings.map(storageOf).filter(isPacked)));
  };
  const packed = packedIn([totals]);
  const names = [...packed].map(({ name }) => name);
  const outputs = new Set(graph.operations.map(({ output }) => storageOf(output).name));
  for (const name of names) assert(outputs.has(name.replace(/^gradient of | again$/g, "")), name);
  assert(names.includes(features.name) && names.includes(`gradient of ${features.name}`));
  assert(names.some((name) => name.endsWith(" again")));
  // The loss takes single numbers of the logits; the first convolution does of the three colours.
  for (const tensor of [logits, totals]) assert(!names.includes(storageOf(tensor).name));
  assert(!names.includes("input"));
  for (const tensor of packed) assertEquals(bytesOf(tensor), 2 * sizeOf(tensor.shape));
  assert(![...packedIn([totals, features])].some(({ name }) => name === features.name));
});

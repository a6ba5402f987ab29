import { assert, assertEquals } from "@std/assert";
import { fuse } from "../../lib/graph/fuse.ts";
import { Graph, lowerBackward, lowerForward } from "../../lib/graph/graph.ts";
import { planMemory } from "../../lib/graph/plan.ts";
import { lowerRecomputing } from "../../lib/graph/recompute.ts";
import { batchNorm } from "../../lib/ops/batch_norm.ts";
import { TILES } from "../../lib/ops/gemm_tile.ts";
import type { Dispatch, Target } from "../../lib/ops/operation.ts";
import { relu } from "../../lib/ops/relu.ts";
import { buildClassifier } from "../../lib/models/classifier.ts";
import { residualConfig } from "../../lib/models/network.ts";
import { GraphLayers } from "../../lib/models/layers.ts";
import { residualFeatures } from "../../lib/models/resnet.ts";
import { buildNetwork } from "./network.ts";

const kindsOf = ({ operations }: Graph) => operations.map(({ kind }) => kind);

/** relu(norm(input)), and the tensors on the way. */
function normAndRelu() {
  const graph = new Graph(), input = graph.external("input", [1, 4, 4, 3]);
  const vector = (name: string) => graph.parameter("backbone", name, "vector", [3]);
  const [weight, bias, runningMean, runningVariance] = ["weight", "bias", "mean", "variance"].map(vector);
  const normalised = graph.apply(batchNorm("norm", input, { weight, bias, runningMean, runningVariance }));
  return { graph, normalised, output: graph.apply(relu("relu", normalised)) };
}

Deno.test("fuse() joins what a single operation reads, and leaves the graph that it is given", () => {
  const { graph, output } = normAndRelu();
  const fused = fuse(graph);
  assertEquals(kindsOf(fused), ["batchNorm"]);
  assertEquals(fused.operations[0].output, output);
  assertEquals(fused.parameters, graph.parameters);
  assertEquals(kindsOf(graph), ["batchNorm", "relu"]);
});

Deno.test("fuse() keeps what the host or a second operation reads", () => {
  const { graph, normalised } = normAndRelu();
  assertEquals(kindsOf(fuse(graph, [normalised])), ["batchNorm", "relu"]);
  graph.apply(relu("other", normalised));
  assertEquals(kindsOf(fuse(graph)), ["batchNorm", "relu", "relu"]);
});

Deno.test("fuse() runs a joined operation where its last input is there", () => {
  const { graph } = buildNetwork();
  assertEquals(
    kindsOf(fuse(graph)),
    ["conv2d", "batchNorm", "conv2d", "padChannels", "batchNorm", "conv2d", "add", "averagePool", "linear"].concat(
      "softmaxCrossEntropy",
    ),
  );
});

for (const [name, size] of [["resnet20", 32], ["resnet50", 224]] as const) {
  Deno.test(`fuse() leaves of ${name} no sum, no rectifier and no more memory than before`, () => {
    const graph = new Graph(), images = graph.parameter("head", "images", "vector", [2, size, size, 3]);
    residualFeatures(new GraphLayers(graph), residualConfig({ encoder: name }), images);
    const fused = fuse(graph);
    assert(kindsOf(graph).includes("add") && kindsOf(graph).includes("relu"));
    assertEquals(kindsOf(fused).filter((kind) => kind === "add" || kind === "relu"), []);
    const target: Target = { schedule: "cpu", tiles: [], subgroupSize: 8, training: true };
    const planOf = (graph: Graph) =>
      planMemory([...lowerForward(graph, target), ...lowerBackward(graph, target)], new Set(), 2 ** 40);
    const before = planOf(graph), after = planOf(fused);
    assert(after.lowerBound <= before.lowerBound);
    const bytes = after.slabs.reduce((sum, slab) => sum + slab, 0);
    assert(bytes <= 1.15 * after.lowerBound, `${bytes} bytes, but ${after.lowerBound} are alive at once`);
  });
}

for (const schedule of ["cpu", "gpu"] as const) {
  for (const [encoder, batch, side] of [["resnet20", 128, 32], ["resnet50", 64, 224]] as const) {
    Deno.test(`fuse() lets the convolutions of ${encoder} leave all statistics, where none is split, schedule ${schedule}`, () => {
      const { graph, totals } = buildClassifier({ encoder, numClasses: 10, height: side, width: side }, batch);
      const norms = kindsOf(graph).filter((kind) => kind === "batchNorm").length;
      const target: Target = { schedule, tiles: TILES, subgroupSize: 8, training: true };
      const launchesOf = (target: Target) => [...lowerForward(graph, target), ...lowerBackward(graph, target)];
      const left = launchesOf(target);
      // Outputs that are computed once more leave nothing: what is launched without the epilogue.
      const read = launchesOf({ ...target, again: true });
      const passesOf = (launches: readonly Dispatch[]) =>
        launches.filter(({ kind }) => kind === "batchNorm statistics").length;
      assertEquals([passesOf(left), passesOf(read)], [0, norms]);
      const evaluation = lowerForward(graph, { ...target, training: false });
      assertEquals(evaluation.filter(({ constants }) => constants.MOMENTS), []);
      const bytesOf = (launches: readonly Dispatch[]) =>
        planMemory(launches, new Set([totals]), 2 ** 40).slabs.reduce((sum, slab) => sum + slab, 0);
      assert(bytesOf(left) <= bytesOf(read), `${bytesOf(left)} bytes, but ${bytesOf(read)} with passes`);
    });

    Deno.test(`lowerRecomputing() moves the statistics of ${encoder} once, schedule ${schedule}`, () => {
      const { graph } = buildClassifier({ encoder, numClasses: 10, height: side, width: side }, batch);
      const norms = kindsOf(graph).filter((kind) => kind === "batchNorm").length;
      const target: Target = { schedule, tiles: TILES, subgroupSize: 8, training: true };
      const launches = lowerRecomputing(graph, target), forward = lowerForward(graph, target).length;
      const indices = (wanted: (dispatch: Dispatch) => boolean) =>
        launches.flatMap((dispatch, index) => wanted(dispatch) ? [index] : []);
      const finalized = indices(({ kind }) => kind === "batchNorm finalize");
      const moments = indices(({ bindings }) => bindings.some(({ name }) => name.endsWith(" moments")));
      assertEquals(finalized.length, norms);
      assert(Math.max(...finalized, ...moments) < forward);
      assert(moments.length >= 2 * norms);
    });
  }
}

Deno.test("launches of joined operations are of the kinds of the operation that makes them", () => {
  const { graph } = normAndRelu();
  const target: Target = { schedule: "cpu", tiles: [], subgroupSize: 8, training: true };
  const kinds = lowerForward(fuse(graph), target).map(({ kind }) => kind);
  assertEquals(kinds, ["batchNorm statistics", "batchNorm finalize", "batchNorm apply"]);
});

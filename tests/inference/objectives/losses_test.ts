import { assert, assertEquals } from "@std/assert";
import type { Gpu } from "../../../lib/gpu/device.ts";
import { submitLaunches } from "../../../lib/gpu/launch.ts";
import { Graph, lowerBackward, lowerForward } from "../../../lib/graph/graph.ts";
import { compile } from "../../../lib/graph/program.ts";
import { Algebra } from "../../../lib/inference/objectives/algebra.ts";
import { barlowLoss } from "../../../lib/inference/objectives/barlow_twins.ts";
import { byolLoss } from "../../../lib/inference/objectives/byol.ts";
import { clusterLoss } from "../../../lib/inference/objectives/deepclusterv2.ts";
import { dinoLoss } from "../../../lib/inference/objectives/dino.ts";
import { infoNce } from "../../../lib/inference/objectives/mocov2plus.ts";
import { nearestIn } from "../../../lib/inference/objectives/neighbours.ts";
import { nnclrLoss } from "../../../lib/inference/objectives/nnclr.ts";
import { OBJECTIVE_NAMES } from "../../../lib/inference/objectives/objectives.ts";
import { ntXent, supervisedContrast } from "../../../lib/inference/objectives/simclr.ts";
import { relationLoss } from "../../../lib/inference/objectives/ressl.ts";
import { simsiamLoss } from "../../../lib/inference/objectives/simsiam.ts";
import { swavLoss } from "../../../lib/inference/objectives/swav.ts";
import { vicregLoss } from "../../../lib/inference/objectives/vicreg.ts";
import { wmseLoss } from "../../../lib/inference/objectives/wmse.ts";
import { objective } from "../../../lib/ops/flow.ts";
import { targetOf, type Tensor as DeviceTensor } from "../../../lib/ops/operation.ts";
import { type Fixture, gradientName, readFixture, recorded } from "../../fixtures/fixture.ts";
import { gpuTests, vectorsOf } from "../../gpu/harness.ts";
import { assertClose, WAYS } from "../../ops/helpers.ts";
import { assertGradient } from "../../reference/central_differences.ts";
import { LOSS_TWINS } from "../../reference/objectives.ts";
import { Matrix } from "../../reference/tape.ts";
import { type Tensor, tensor } from "../../reference/tensor.ts";

/** How a loss is built from its operands. */
type Builder = (
  graph: Graph,
  operands: Readonly<Record<string, DeviceTensor>>,
  config: Readonly<Record<string, number>>,
) => DeviceTensor;

const LOSSES: Readonly<Record<string, Builder>> = {
  "barlow_twins": (graph, { z }, { lambda, scale }) => barlowLoss(graph, z, { lambda, scale }),
  byol: (graph, { p, t }) => byolLoss(graph, p, t),
  deepclusterv2: (graph, { logits, labels }, { temperature }) =>
    clusterLoss(graph, "head", logits, labels, temperature),
  dino: (graph, { s, t, centre, targetTemperature }, { temperature }) =>
    dinoLoss(graph, s, t, centre, targetTemperature, temperature),
  mocov2plus: (graph, { q, k, queue }, { temperature }) => infoNce(graph, q, k, queue, temperature),
  nnbyol: (graph, { p, t, queue }) => byolLoss(graph, p, nearestIn(graph, t, queue)),
  nnclr: (graph, { p, z, queue }, { temperature }) => nnclrLoss(graph, p, nearestIn(graph, z, queue), temperature),
  nnsiam: (graph, { p, z, queue }) => simsiamLoss(graph, p, nearestIn(graph, z, queue)),
  ressl: (graph, { q, k, queue }, { temperature, targetTemperature }) =>
    relationLoss(graph, q, k, queue, { temperature, targetTemperature }),
  simclr: (graph, { z, labels }, { temperature }) =>
    labels ? supervisedContrast(graph, z, labels, temperature) : ntXent(graph, z, temperature),
  simsiam: (graph, { p, z }) => simsiamLoss(graph, p, z),
  swav: (graph, { logits, queue, gate }, { temperature, epsilon, iterations, views, large }) =>
    swavLoss(
      graph,
      logits,
      { count: views, large },
      { temperature, epsilon, iterations },
      queue && { logits: new Algebra(graph).halves("queue", queue), gate },
    ),
  vicreg: (graph, { z }, { invariance, variance, covariance }) =>
    vicregLoss(graph, z, { invariance, variance, covariance }),
  wmse: (graph, { z, identity }, { views, size, eps }) => wmseLoss(graph, "w", z, views, { size, eps, identity }),
};

const FOLDER = new URL("../../fixtures/objectives/", import.meta.url);
/** Sums of some hundred products, exponentials of up to 1 / temperature, and a difference of both. */
const TOLERANCE = 2e-5;

const gpuTest = gpuTests();

const cases = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).sort()
  .map((file) => ({ name: file.replace(".bin", ""), fixture: readFixture(new URL(file, FOLDER)) }));

/** Operands that have a gradient, and those that are given. */
function operandsOf({ tensors }: Fixture): { trained: string[]; given: string[] } {
  const names = [...tensors.keys()].filter((name) => name !== "loss" && !/^d[A-Z]/.test(name));
  return {
    trained: names.filter((name) => tensors.has(gradientName(name))),
    given: names.filter((name) => !tensors.has(gradientName(name))),
  };
}

/** Runs a loss and its gradient on the device. */
async function run(gpu: Gpu, fixture: Fixture, way: (typeof WAYS)[keyof typeof WAYS]): Promise<Record<string, Tensor>> {
  const { trained, given } = operandsOf(fixture), graph = new Graph();
  const value = (name: string) => recorded(fixture, name);
  const operands: Record<string, DeviceTensor> = {};
  for (const name of trained) operands[name] = graph.parameter("head", name, "vector", value(name).shape);
  for (const name of given) operands[name] = graph.external(name, value(name).shape);
  const loss = graph.apply(objective("loss", LOSSES[fixture.config.objective](graph, operands, fixture.config)));
  const vectors = vectorsOf(gpu, "operands", (part) => graph.parametersOf(part));
  const gradients = vectorsOf(gpu, "gradients", (part) => part === "state" ? [] : graph.parametersOf(part));
  const externals = new Map(given.map((name) => {
    const values = Float32Array.from(value(name).data), buffer = gpu.createBuffer(name, values.byteLength);
    gpu.device.queue.writeBuffer(buffer, 0, values);
    return [operands[name], buffer];
  }));
  const target = { ...targetOf(gpu, { training: true }), ...way };
  const dispatches = [...lowerForward(graph, target), ...lowerBackward(graph, target)];
  const program = await compile(gpu, dispatches, { label: "loss", vectors, gradients, externals, keep: [loss] });
  try {
    vectors.head.write(Float32Array.from(trained.flatMap((name) => [...value(name).data])));
    submitLaunches(gpu, "loss", program.launches);
    const { buffer, offset } = program.rangeOf(loss);
    const results: Record<string, Tensor> = { loss: tensor([1], new Float32Array(await gpu.read(buffer, offset, 4))) };
    const all = await gradients.head.read();
    let at = 0;
    for (const name of trained) {
      const { shape, data } = value(name);
      results[gradientName(name)] = tensor(shape, all.subarray(at, at += data.length));
    }
    return results;
  } finally {
    program.destroy();
    externals.forEach((buffer) => gpu.destroyBuffer(buffer));
    for (const set of [vectors, gradients]) Object.values(set).forEach((vector) => vector.destroy());
  }
}

for (const { name, fixture } of cases) {
  const { trained, given } = operandsOf(fixture), { config } = fixture;
  const twin = LOSS_TWINS[config.objective];
  const matrices = (values: Readonly<Record<string, Tensor>>) =>
    Object.fromEntries(
      Object.entries(values).map(([key, { shape, data }]) => [
        key,
        new Matrix(shape.length > 1 ? shape[0] : 1, shape[shape.length - 1], data),
      ]),
    );
  const values = Object.fromEntries([...trained, ...given].map((key) => [key, recorded(fixture, key)]));

  Deno.test(`${name}: the twin equals PyTorch, and its gradient central differences`, () => {
    const operands = matrices(values), loss = twin(operands, config);
    loss.backward();
    assertClose("loss", tensor([1], loss.data), recorded(fixture, "loss"), 1e-12);
    const still = Object.fromEntries(Object.entries(matrices(values)).map(([key, matrix]) => [`still ${key}`, matrix]));
    for (const key of trained) {
      const gradient = tensor(values[key].shape, operands[key].gradient);
      assertClose(gradientName(key), gradient, recorded(fixture, gradientName(key)), 1e-10);
      assertGradient(
        key,
        gradient.data,
        values[key].data,
        () => twin({ ...matrices(values), ...still }, config).data[0],
      );
    }
  });

  for (const [how, way] of Object.entries(WAYS)) {
    gpuTest(`${name}: the loss and its gradient equal PyTorch's by ${how}`, async (gpu) => {
      const found = await run(gpu, fixture, way);
      for (const [key, result] of Object.entries(found)) assertClose(key, result, recorded(fixture, key), TOLERANCE);
    });
  }
}

Deno.test("every objective has a loss on record, a twin and a builder", () => {
  const names = [...OBJECTIVE_NAMES].sort();
  assert(names.length > 0);
  assertEquals(Object.keys(LOSS_TWINS).sort(), names);
  assertEquals(Object.keys(LOSSES).sort(), names);
  assertEquals([...new Set(cases.map(({ fixture }) => fixture.config.objective))].sort(), names);
});

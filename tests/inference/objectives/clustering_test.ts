import { assertEquals } from "@std/assert";
import type { Gpu } from "../../../lib/gpu/device.ts";
import { type ClusteringLimits, SphericalKMeans } from "../../../lib/inference/objectives/clustering.ts";
import { PhiloxSequence, Stream } from "../../../lib/random/philox.ts";
import { readFixture, recorded } from "../../fixtures/fixture.ts";
import { gpuTests } from "../../gpu/harness.ts";
import { assertClose, normal } from "../../ops/helpers.ts";
import { type Rows, sphericalKMeans } from "../../reference/spherical_kmeans.ts";
import { type Tensor, tensor } from "../../reference/tensor.ts";

const gpuTest = gpuTests();

/** Sums of some dozen rows and a root. */
const TOLERANCE = 1e-6;
const KEY = { seed: 3, step: 7, index: 1 };

const rowsOf = ({ shape: [count, width], data }: Tensor): Rows =>
  Array.from({ length: count }, (_, row) => [...data.subarray(row * width, (row + 1) * width)]);

function unitRows(count: number, width: number): Tensor {
  const rows = rowsOf(normal([count, width], 1)).map((row) => row.map((x) => Math.fround(x / Math.hypot(...row))));
  return tensor([count, width], rows.flat());
}

/** Clusters rows on the device as if those that are drawn were the first ones. */
async function cluster(gpu: Gpu, rows: Tensor, clusters: number, iterations: number, limits?: ClusteringLimits) {
  const [count, width] = rows.shape;
  const order = new PhiloxSequence(KEY.seed, Stream.clusters, KEY.step, KEY.index)
    .shuffle(Array.from({ length: count }, (_, row) => row));
  const external = (name: string, shape: number[]) => ({ name, shape, role: "external" }) as const;
  const tensors = {
    rows: external("rows", [count, width]),
    prototypes: external("prototypes", [clusters, width]),
    labels: external("labels", [count + 1]),
  };
  const buffers = new Map(
    Object.values(tensors).map((made) => [
      made,
      gpu.createBuffer(made.name, made.shape.reduce((size, n) => size * n, 4)),
    ]),
  );
  const placed = new Float32Array(count * width);
  rowsOf(rows).forEach((row, i) => placed.set(row, order[i] * width));
  gpu.device.queue.writeBuffer(buffers.get(tensors.rows)!, 0, placed);
  const kmeans = await SphericalKMeans.create(gpu, { ...tensors, iterations }, buffers, limits);
  try {
    // Twice: it begins anew.
    for (let round = 0; round < 2; round++) kmeans.submit(KEY);
    const labels = new Float32Array(await gpu.read(buffers.get(tensors.labels)!));
    return {
      prototypes: tensor([clusters, width], new Float32Array(await gpu.read(buffers.get(tensors.prototypes)!))),
      labels: order.map((place) => labels[place]),
      behind: labels[count],
      groups: kmeans.launches.map(({ groups: [x, y] }) => x * y),
    };
  } finally {
    kmeans.destroy();
    buffers.forEach((buffer) => gpu.destroyBuffer(buffer));
  }
}

gpuTest("SphericalKMeans finds PyTorch's clusters, one without members at first among them", async (gpu) => {
  const fixture = readFixture(new URL("../../fixtures/clusters.bin", import.meta.url));
  const prototypes = recorded(fixture, "prototypes"), labels = recorded(fixture, "labels");
  const rows = recorded(fixture, "rows"), [first, second] = rowsOf(rows);
  assertEquals(second, first, "the second prototype begins as the first, which takes its members");
  const found = await cluster(gpu, rows, prototypes.shape[0], fixture.config.iterations);
  assertClose("prototypes", found.prototypes, prototypes, TOLERANCE);
  assertEquals([found.labels, found.behind], [[...labels.data], 0]);
});

/** Rows, their width, clusters and iterations. */
const CASES: [number, number, number, number][] = [[1, 1, 1, 1], [5, 3, 5, 0], [70, 7, 3, 2], [300, 8, 20, 5], [
  200,
  130,
  65,
  3,
]];

for (const [count, width, clusters, iterations] of CASES) {
  gpuTest(`SphericalKMeans equals the f64 twin: ${count} rows of ${width} in ${clusters} clusters`, async (gpu) => {
    const rows = unitRows(count, width), all = rowsOf(rows);
    const expected = sphericalKMeans(all, all.slice(0, clusters), iterations);
    const found = await cluster(gpu, rows, clusters, iterations);
    assertClose("prototypes", found.prototypes, tensor([clusters, width], expected.prototypes.flat()), TOLERANCE);
    assertEquals([found.labels, found.behind], [expected.clusters.map((cluster) => cluster + 1), 0]);
  });
}

gpuTest(
  "SphericalKMeans cuts its work into launches of at most what they may do; the result is the same",
  async (gpu) => {
    for (const [count, width, clusters] of [[300, 8, 70], [300, 64, 20]]) {
      const rows = unitRows(count, width), whole = await cluster(gpu, rows, clusters, 3);
      // The first rows, four assignments and three movements.
      assertEquals(whole.groups.length, 1 + 4 + 3);
      const cut = await cluster(gpu, rows, clusters, 3, { launchWork: 5 * count * width });
      assertEquals([cut.prototypes, cut.labels, cut.behind], [whole.prototypes, whole.labels, whole.behind]);
      // As few rows and clusters as alignment lets: 64, or one where its numbers fill 256 bytes.
      const ofRows = Math.ceil(count / 64), atOnce = width === 64 ? 5 : 64, ofClusters = Math.ceil(clusters / atOnce);
      assertEquals(cut.groups.length, 1 + 4 * ofRows + 3 * ofClusters);
      assertEquals(Math.max(...cut.groups.slice(1)), atOnce);
    }
  },
);

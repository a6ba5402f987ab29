import { assertEquals, assertRejects } from "@std/assert";
import { loadDataset } from "../../lib/data/load.ts";
import { proceduralDownstream, proceduralSource } from "../../lib/data/procedural.ts";
import { UsageError } from "../../lib/errors.ts";
import { inTemporaryFolder, readFixture, sharedData } from "./helpers.ts";

const cifar10 = sharedData("cifar10"), flowers = sharedData("flowers17");

async function imageTree(folder: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    await Deno.mkdir(`${folder}/${path}`, { recursive: true });
    await Deno.writeFile(`${folder}/${path}/1.jpg`, readFixture("gray.jpg"));
  }
}

Deno.test("loadDataset() refuses an unknown name and lists the known ones", async () => {
  const error = await assertRejects(() => loadDataset({ name: "mnist", split: "train" }), UsageError);
  for (const name of ["mnist", "cifar10", "cifar100", "imagefolder", "procedural-source", "oxfordpets"]) {
    assertEquals(error.message.includes(name), true, error.message);
  }
});

Deno.test("loadDataset() makes the procedural sets by seed, split and count", async () => {
  const source = await loadDataset({ name: "procedural-source", split: "val", seed: 4, perClass: 2 });
  assertEquals(source.hash, proceduralSource({ seed: 4, perClass: 2, split: "val" }).hash);
  const downstream = await loadDataset({ name: "procedural_downstream", split: "test", perClass: 3 });
  assertEquals(downstream.hash, proceduralDownstream({ seed: 0, perClass: 3, split: "test" }).hash);
});

Deno.test("loadDataset() asks for a folder and for a size that fits", async () => {
  await assertRejects(() => loadDataset({ name: "cifar10", split: "train" }), UsageError, "--data-dir");
  await assertRejects(() => loadDataset({ name: "custom", split: "train", dir: "" }), UsageError, "--data-dir");
  const large = { name: "procedural-source", split: "train", size: 64 } as const;
  await assertRejects(() => loadDataset(large), UsageError, "its images are 32 x 32");
});

Deno.test("loadDataset() finds the split's folder, val and test standing in for one another", () =>
  inTemporaryFolder(async (dir) => {
    await imageTree(dir, ["train/a", "train/b", "test/a", "other/b"]);
    const request = { name: "flowers17", dir: `${dir}/`, size: 4 } as const;
    const names = await Promise.all([
      loadDataset({ ...request, split: "train" }),
      loadDataset({ ...request, split: "val" }),
      loadDataset({ ...request, split: "test" }),
      loadDataset({ ...request, split: "val", subfolder: "other", classNames: ["a", "b"] }),
    ]);
    assertEquals(names.map(({ name }) => name), [
      "flowers17 (train)",
      "flowers17 (test)",
      "flowers17 (test)",
      "flowers17 (other)",
    ]);
    assertEquals(names.map(({ labels }) => [...labels]), [[0, 1], [0], [0], [1]]);
  }));

Deno.test("loadDataset() says which layout a missing folder should have", () =>
  inTemporaryFolder(async (dir) => {
    const required = `required is ${dir}/val/<class>/<image>.jpg`;
    await assertRejects(() => loadDataset({ name: "custom", split: "val", dir }), Error, required);
    await assertRejects(() => loadDataset({ name: "cifar10", split: "val", dir: `${dir}/x` }), Error, "no such folder");
    await assertRejects(() => loadDataset({ name: "cifar100", split: "test", dir }), Error, "train.bin and test.bin");
  }));

Deno.test({
  name: "loadDataset() loads the real CIFAR-10 and flowers",
  ignore: !cifar10.present || !flowers.present,
  fn: async () => {
    const sets = await Promise.all([
      loadDataset({ name: "cifar10", split: "train", dir: cifar10.path, subfolder: "train" }),
      loadDataset({ name: "cifar10", split: "val", dir: cifar10.path }),
      loadDataset({ name: "flowers17", split: "test", dir: flowers.path, size: 32, resize: "squash" }),
    ]);
    assertEquals(sets.map(({ labels, height }) => [labels.length, height]), [[4000, 32], [1000, 32], [272, 32]]);
  },
});

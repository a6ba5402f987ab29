import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { createHash } from "node:crypto";
import { CORRUPTIONS } from "../../lib/data/cifar_variants.ts";
import { loadDataset, openDataset } from "../../lib/data/load.ts";
import { UsageError } from "../../lib/errors.ts";
import { type Source, SOURCES } from "../../tasks/data/sources.ts";
import { npyImages, npyLabels } from "../data/arrays.ts";
import { inTemporaryFolder } from "../data/helpers.ts";
import { CIFAR_FILES, imagenet, preparedFrom, slashed, tree } from "./prepared.ts";
import { gzip, serve, tarOf } from "./server.ts";

const NAME = "cifar-10-binary.tar.gz";
const ARCHIVE = await gzip(tarOf(CIFAR_FILES));
const VARIANTS = {
  ...Object.fromEntries(["v4", "v6"].flatMap((version) => [
    [`/cifar10.1_${version}_data.npy`, npyImages(2)],
    [`/cifar10.1_${version}_labels.npy`, npyLabels([1, 2])],
  ])),
  "/CIFAR-10-C.tar": tarOf({
    ...Object.fromEntries(CORRUPTIONS.map((name) => [`CIFAR-10-C/${name}.npy`, npyImages(5)])),
    "CIFAR-10-C/labels.npy": npyLabels([1, 2, 3, 4, 5], "uint8"),
  }),
};

Deno.test("prepare() puts cifar10, cifar10.1 and cifar10-c into one folder, where all are found", () =>
  inTemporaryFolder(async (folder) => {
    await using server = serve({ [`/${NAME}`]: ARCHIVE, ...VARIANTS });
    for (const name of ["cifar10", "cifar10.1", "cifar10-c"]) {
      assertEquals((await preparedFrom(server, folder, name)).already, false);
    }
    assertEquals(tree(folder).filter((path) => !/^(cifar-10-batches-bin|CIFAR-10-C)\//.test(path)), [
      "cifar10.1_v4_data.npy",
      "cifar10.1_v4_labels.npy",
      "cifar10.1_v6_data.npy",
      "cifar10.1_v6_labels.npy",
      "swagpu-data-cifar10-c.json",
      "swagpu-data-cifar10.1.json",
      "swagpu-data-cifar10.json",
    ]);
    const train = await openDataset({ name: "cifar10", split: "train", dir: folder });
    const test = await openDataset({ name: "cifar10.1-v4", split: "test", dir: folder });
    const fog = { name: "cifar10-c", split: "test", dir: folder, corruption: "fog", severity: 2 } as const;
    assertEquals([train.labels.length, [...test.labels], [...(await openDataset(fog)).labels]], [20, [1, 2], [2]]);
    assertEquals((await loadDataset({ name: "cifar10", split: "test", dir: folder })).labels.length, 3);
    assertEquals((await loadDataset({ name: "cifar10.1-v6", split: "val", dir: folder })).labels.length, 2);
    assertEquals((await loadDataset(fog)).labels.length, 1);
    const asked = server.requests.length;
    for (const name of ["cifar10", "cifar10.1", "cifar10-c"]) {
      assertEquals((await preparedFrom(server, folder, name)).already, true);
    }
    assertEquals(server.requests.length, asked);
  }));

Deno.test("prepare() leaves what another set has downloaded where its own is done", () =>
  inTemporaryFolder(async (folder) => {
    await using server = serve({ [`/${NAME}`]: ARCHIVE, ...VARIANTS }, {
      "/CIFAR-10-C.tar": ["breaks off", "fails", "fails"],
    });
    await assertRejects(() => preparedFrom(server, folder, "cifar10-c"), Error, "bytes are kept");
    await preparedFrom(server, folder, "cifar10");
    assertEquals(tree(folder).filter((path) => path.endsWith(".partial")), [
      ".prepare/cifar10-c/CIFAR-10-C.tar.partial",
    ]);
  }));

Deno.test("prepare() refuses a folder whose names another set has, before it asks for anything", () =>
  inTemporaryFolder(async (folder) => {
    await using server = serve(slashed(await imagenet()));
    await preparedFrom(server, folder, "imagenet");
    const before = tree(folder), asked = server.requests.length;
    for (const name of ["oxford102flowers", "oxfordpets", "imagenet100", "custom"]) {
      await assertRejects(
        () => preparedFrom(server, folder, name, { archive: "x.tar" }),
        Error,
        `${folder}/train exists`,
      );
    }
    assertEquals(server.requests.length, asked);
    assertEquals(tree(folder).filter((path) => !path.startsWith(".prepare/")), before);
  }));

Deno.test("prepare() says how what is there differs from what is asked for", () =>
  inTemporaryFolder(async (folder) => {
    const files = slashed(await imagenet());
    await using server = serve(files);
    const one = { classes: ["n00000011"] }, other = { classes: ["n00000022"] };
    await preparedFrom(server, folder, "imagenet100", one);
    assertEquals((await preparedFrom(server, folder, "imagenet100", one)).already, true);
    const before = tree(folder);
    const refuse = async (promise: Promise<unknown>, message: RegExp) =>
      assertMatch((await assertRejects(() => promise, UsageError)).message, message);
    await refuse(
      preparedFrom(server, folder, "imagenet100", other),
      /there, but it has 1 classes \(as n00000011\), and 1 classes \(as n00000022\) are asked for; another folder is required, or remove \S+\/train, \S+\/val first/,
    );
    await using elsewhere = serve(files);
    await refuse(
      preparedFrom(elsewhere, folder, "imagenet100", one),
      new RegExp(`devkit_t12.tar.gz came from ${server.address}/.*, and that of ${elsewhere.address}/.* is asked for`),
    );
    assertEquals(elsewhere.requests, []);
    assertEquals(tree(folder).filter((path) => !path.startsWith(".prepare/")), before);
  }));

Deno.test("prepare() does not mind where a file came from that was compared with its published digest", () =>
  inTemporaryFolder(async (folder) => {
    await using server = serve({ [`/${NAME}`]: ARCHIVE });
    await using elsewhere = serve({});
    const hex = createHash("md5").update(ARCHIVE).digest("hex"), [file] = SOURCES.cifar10.files;
    const source: Source = { ...SOURCES.cifar10, files: [{ ...file, digest: { algorithm: "md5", hex } }] };
    await preparedFrom(server, folder, "cifar10", { source, unverified: false });
    const again = await preparedFrom(elsewhere, folder, "cifar10", { source, unverified: false });
    assertEquals([again.already, again.files[0].url], [true, `${server.address}/${NAME}`]);
  }));

Deno.test("prepare() prepares anew what is gone, all or a part of it", () =>
  inTemporaryFolder(async (folder) => {
    const files = slashed(await imagenet());
    await using server = serve(files);
    await preparedFrom(server, folder, "imagenet");
    const whole = tree(folder);
    for (const lost of [["train"], ["train", "val"]]) {
      for (const name of lost) await Deno.remove(`${folder}/${name}`, { recursive: true });
      const stages: string[] = [];
      const { already } = await preparedFrom(server, folder, "imagenet", { onStage: (text) => stages.push(text) });
      assertEquals([already, stages[0]], [false, `preparing imagenet anew: ${folder}/train is missing`]);
      assertEquals(tree(folder), whole);
    }
    // What is left of other archives is not mixed with theirs.
    await Deno.remove(`${folder}/train`, { recursive: true });
    files["/ILSVRC2012_img_val.tar"] = files["/ILSVRC2012_img_val.tar"].slice();
    files["/ILSVRC2012_img_val.tar"][600] ^= 1;
    await assertRejects(
      () => preparedFrom(server, folder, "imagenet"),
      Error,
      "made of another ILSVRC2012_img_val.tar",
    );
    // Other classes may be taken where nothing is left.
    await Deno.remove(`${folder}/val`, { recursive: true });
    await preparedFrom(server, folder, "imagenet", { classes: ["n00000022"] });
    assertEquals([...Deno.readDirSync(`${folder}/train`)].map(({ name }) => name), ["n00000022"]);
  }));

Deno.test("prepare() takes arrays of cifar10.1 that lie in the folder as they are", () =>
  inTemporaryFolder(async (folder) => {
    for (const [path, bytes] of Object.entries(VARIANTS)) await Deno.writeFile(`${folder}${path}`, bytes);
    await using server = serve({});
    const { files } = await preparedFrom(server, folder, "cifar10.1");
    assertEquals([server.requests, files.map(({ url }) => url)], [[], Array(4).fill(undefined)]);
    assertEquals((await loadDataset({ name: "cifar10.1", split: "test", dir: folder })).labels.length, 2);
  }));

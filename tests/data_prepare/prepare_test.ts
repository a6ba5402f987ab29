import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { writeZip } from "../../lib/checkpoint/zip_writer.ts";
import { CORRUPTIONS } from "../../lib/data/cifar_variants.ts";
import { loadDataset, openDataset } from "../../lib/data/load.ts";
import { FormatError } from "../../lib/errors.ts";
import { readTrimap } from "../../lib/data/oxford_pets.ts";
import { arrange } from "../../tasks/data/arrange.ts";
import { prepare } from "../../tasks/data/prepare.ts";
import { type Source, SOURCES } from "../../tasks/data/sources.ts";
import { assertRefused, runCli } from "../cli/run_cli.ts";
import { flowerFiles, FLOWERS, JPEG, npyImages, npyLabels, petFiles, trimapPng } from "../data/arrays.ts";
import { inTemporaryFolder } from "../data/helpers.ts";
import { CIFAR_FILES, imagenet, prepared, preparedFrom, slashed, tree } from "./prepared.ts";
import { type Behaviour, gzip, serve, tarArchive, tarOf } from "./server.ts";

Deno.test("prepare() arranges CIFAR-10 and CIFAR-100 so that they load, and records what was fetched", () =>
  inTemporaryFolder(async (folder) => {
    const archive = await gzip(tarOf(CIFAR_FILES));
    const { files, already } = await prepared(`${folder}/ten`, "cifar10", { "cifar-10-binary.tar.gz": archive });
    assertEquals([files[0].bytes, files[0].verified, already], [archive.length, undefined, false]);
    assertEquals((await loadDataset({ name: "cifar10", split: "train", dir: `${folder}/ten` })).labels.length, 20);
    assertEquals(tree(`${folder}/ten`).filter((path) => !path.startsWith("cifar-10-batches-bin/")), [
      "swagpu-data-cifar10.json",
    ]);
    const hundred = {
      "cifar-100-binary/train.bin": new Uint8Array(3074),
      "cifar-100-binary/test.bin": new Uint8Array(3074),
    };
    await prepared(`${folder}/hundred`, "cifar100", { "cifar-100-binary.tar.gz": await gzip(tarOf(hundred)) });
    assertEquals((await loadDataset({ name: "cifar100", split: "test", dir: `${folder}/hundred` })).labels.length, 1);
    assertEquals(tree(`${folder}/ten`).length, 8);
  }));

Deno.test("prepare() arranges CIFAR-10.1 and CIFAR-10-C", () =>
  inTemporaryFolder(async (folder) => {
    const arrays = ["v4", "v6"].flatMap((version) => [
      [`cifar10.1_${version}_data.npy`, npyImages(2)],
      [`cifar10.1_${version}_labels.npy`, npyLabels([1, 2])],
    ]);
    await prepared(`${folder}/a`, "cifar10.1", Object.fromEntries(arrays));
    assertEquals((await loadDataset({ name: "cifar10.1-v6", split: "test", dir: `${folder}/a` })).labels.length, 2);
    for (
      const [name, wrong, message] of [
        [
          "cifar10.1_v6_data.npy",
          new TextEncoder().encode("<html>Not found</html>"),
          "Cannot read cifar10.1_v6_data.npy",
        ],
        ["cifar10.1_v4_data.npy", npyImages(2, 31), "of shape [2,31,31,3]; uint8 of shape [n, 32, 32, 3] is required"],
        ["cifar10.1_v4_labels.npy", npyLabels([1]), "there are 2 images, but 1 labels"],
        ["cifar10.1_v4_labels.npy", npyLabels([1, 10]), "label 1 is 10"],
        ["cifar10.1_v4_data.npy", npyImages(2).subarray(0, 5000), "but the file has 5000"],
      ] as const
    ) {
      const files = { ...Object.fromEntries(arrays), [name]: wrong };
      await assertRejects(() => prepared(`${folder}/b`, "cifar10.1", files), FormatError, message);
      assertEquals(tree(`${folder}/b`).filter((path) => !path.startsWith(".prepare/")), []);
    }
    const corrupted = Object.fromEntries(CORRUPTIONS.map((name) => [`CIFAR-10-C/${name}.npy`, npyImages(5)]));
    const labels = npyLabels([1, 2, 3, 4, 5], "uint8");
    await prepared(`${folder}/c`, "cifar10-c", {
      "CIFAR-10-C.tar": tarOf({ ...corrupted, "CIFAR-10-C/labels.npy": labels }),
    });
    const request = { name: "cifar10-c", split: "test", dir: `${folder}/c`, corruption: "snow", severity: 4 } as const;
    assertEquals([...(await loadDataset(request)).labels], [4]);
    await assertRejects(
      () => prepared(`${folder}/d`, "cifar10-c", { "CIFAR-10-C.tar": tarOf(corrupted) }),
      Error,
      "CIFAR-10-C/labels.npy is not in the archive",
    );
  }));

Deno.test("prepare() arranges STL-10, the flowers and the pets as the original's scripts do", () =>
  inTemporaryFolder(async (folder) => {
    const image = new Uint8Array(27648);
    const stl10 = tarOf({
      "stl10_binary/train_X.bin": image,
      "stl10_binary/train_y.bin": Uint8Array.of(7),
      "stl10_binary/test_X.bin": image,
      "stl10_binary/test_y.bin": Uint8Array.of(1),
      "stl10_binary/unlabeled_X.bin": image,
    });
    await prepared(`${folder}/stl`, "stl10", { "stl10_binary.tar.gz": await gzip(stl10) });
    assertEquals([...(await openDataset({ name: "stl10", split: "train", dir: `${folder}/stl` })).labels], [6]);

    const { "imagelabels.mat": labels, "setid.mat": sets, ...images } = flowerFiles();
    const flowers = { "imagelabels.mat": labels, "setid.mat": sets, "102flowers.tgz": await gzip(tarOf(images)) };
    await prepared(`${folder}/flowers`, "oxford102flowers", flowers);
    const expected = Object.entries({ train: "trnid", val: "valid", test: "tstid" } as const).flatMap(([split, list]) =>
      FLOWERS.sets[list].map((id) =>
        `${split}/${String(FLOWERS.labels[id - 1] - 1).padStart(3, "0")}/image_0000${id}.jpg`
      )
    );
    assertEquals(tree(`${folder}/flowers`), [...expected, "swagpu-data-oxford102flowers.json"].sort());

    const all = Object.entries(petFiles(trimapPng([1, 2])));
    const annotations = all.filter(([path]) => path.startsWith("annotations"));
    const pets = {
      "annotations.tar.gz": await gzip(
        tarOf({ ...Object.fromEntries(annotations), "annotations/trimaps/._a.png": "mac" }),
      ),
      "images.tar.gz": await gzip(
        tarOf({ ...Object.fromEntries(all.filter(([path]) => path.startsWith("images"))), "images/junk.mat": "x" }),
      ),
    };
    await prepared(`${folder}/pets`, "oxfordpets", pets);
    assertEquals(tree(`${folder}/pets`).filter((path) => path.endsWith(".jpg")), [
      "train/00/Abyssinian_1.jpg",
      "train/36/yorkshire_terrier_9.jpg",
      "val/00/Abyssinian_2.jpg",
      "val/33/shiba_inu_3.jpg",
    ]);
    assertEquals(tree(`${folder}/pets`).some((path) => path.includes("._")), false);
    assertEquals([...(await readTrimap(`${folder}/pets`, "val/33/shiba_inu_3.jpg")).values], [1, 2]);
  }));

Deno.test("prepare() arranges ImageNet by WordNet number, or a list of its classes", () =>
  inTemporaryFolder(async (folder) => {
    const files = await imagenet();
    await prepared(`${folder}/all`, "imagenet", files);
    assertEquals(tree(`${folder}/all`), [
      "swagpu-data-imagenet.json",
      "train/n00000011/n00000011_1.JPEG",
      "train/n00000011/n00000011_2.JPEG",
      "train/n00000022/n00000022_5.JPEG",
      "val/n00000011/ILSVRC2012_val_00000002.JPEG",
      "val/n00000022/ILSVRC2012_val_00000001.JPEG",
      "val/n00000022/ILSVRC2012_val_00000003.JPEG",
    ]);
    const load = (split: "train" | "val") => loadDataset({ name: "imagenet", split, dir: `${folder}/all`, size: 8 });
    assertEquals([(await load("train")).labels.length, (await load("val")).labels.length], [3, 3]);
    await prepared(`${folder}/one`, "imagenet100", files, { classes: ["n00000022"] });
    assertEquals(tree(`${folder}/one`).filter((path) => path.startsWith("train")), [
      "train/n00000022/n00000022_5.JPEG",
    ]);
    await assertRejects(
      () => prepared(`${folder}/two`, "imagenet", files, { classes: ["n00000033"] }),
      Error,
      "no class n00000033",
    );
    const short = { ...files, "ILSVRC2012_img_val.tar": tarOf({ "ILSVRC2012_val_00000001.JPEG": JPEG }) };
    await assertRejects(
      () => prepared(`${folder}/three`, "imagenet", short),
      Error,
      "it holds 1 images; 3 are required",
    );
    const lost = { ...files, "ILSVRC2012_img_train.tar": tarOf({ "n00000022.tar": tarOf({ "a.JPEG": JPEG }) }) };
    await assertRejects(() => prepared(`${folder}/four`, "imagenet", lost), Error, "archives of 1 classes are missing");
    await assertRejects(
      () => prepare({ name: "imagenet", source: SOURCES.imagenet, folder: `${folder}/five` }),
      Error,
      "ImageNet is given to registered users only",
    );
  }));

Deno.test("arrange() counts each image of ImageNet once, so that the real archives are within the bounds", () =>
  inTemporaryFolder(async (folder) => {
    const files = new Map<string, string>();
    for (const [name, bytes] of Object.entries(await imagenet())) {
      files.set(name, `${folder}/${name}`);
      await Deno.writeFile(`${folder}/${name}`, bytes);
    }
    const allowance = { bytes: 2 ** 30, entries: 1000 };
    await arrange("imagenet", { files, staging: `${folder}/arranged`, allowance });
    const sizes = tree(`${folder}/arranged`).map((path) => Deno.statSync(`${folder}/arranged/${path}`).size);
    const meta = Deno.statSync(fromFileUrl(new URL("../fixtures/mat/meta.mat", import.meta.url))).size;
    assertEquals(2 ** 30 - allowance.bytes, sizes.reduce((sum, size) => sum + size) + meta + "2\n1\n2\n".length);
    assertEquals(1000 - allowance.entries, sizes.length + 2);
    // ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar: their images are less than they.
    const { maxUnpackedBytes, maxEntries, files: [, val, train] } = SOURCES.imagenet;
    assertEquals(147_897_477_120 + 6_744_924_160 < maxUnpackedBytes, true);
    assertEquals(147_897_477_120 < train.maxBytes && 6_744_924_160 < val.maxBytes, true);
    assertEquals(1_281_167 + 50_000 + 1000 < maxEntries, true);
  }));

Deno.test("prepare() takes a user's own images from a zip or tar archive", () =>
  inTemporaryFolder(async (folder) => {
    const files = { "my/train/a/1.jpg": JPEG, "my/val/a/2.jpg": JPEG, "my/notes.txt": new Uint8Array(3) };
    const zip = writeZip(Object.entries(files).map(([name, data]) => ({ name, data })));
    for (const [name, archive] of [["my.zip", zip], ["my.tar", tarOf(files)]] as const) {
      await prepared(`${folder}/${name}`, "custom", { [name]: archive });
      assertEquals(tree(`${folder}/${name}`), ["swagpu-data-custom.json", "train/a/1.jpg", "val/a/2.jpg"]);
    }
    await assertRejects(
      () => prepared(`${folder}/x`, "custom", { "x.tar": tarOf({ "a.jpg": JPEG }) }),
      Error,
      "no folder train/",
    );
  }));

Deno.test("prepare() leaves nothing half-arranged, and goes on where it was interrupted", () =>
  inTemporaryFolder(async (folder) => {
    const good = tarOf(CIFAR_FILES), cut = good.subarray(0, 3 * 512 + 13_000);
    const visible = () => tree(folder).filter((path) => !path.startsWith(".prepare/"));
    // A connection that breaks for good.
    const name = "cifar-10-binary.tar.gz";
    const broken = { behaviours: { [name]: ["breaks off", "fails", "fails"] as Behaviour[] } };
    const packed = await gzip(good);
    await assertRejects(() => prepared(folder, "cifar10", { [name]: packed }, broken), Error, "bytes are kept");
    assertEquals(visible(), []);
    // The archive lies in the folder, but is cut short: what was unpacked of it is not the data set's.
    await Deno.writeFile(`${folder}/${name}`, await gzip(cut));
    await assertRejects(() => prepared(folder, "cifar10", {}), Error, "Cannot unpack");
    assertEquals(visible(), [name]);
    // Another archive: what is left of the first one does not count.
    await Deno.writeFile(`${folder}/${name}`, packed);
    await prepared(folder, "cifar10", {});
    assertEquals((await loadDataset({ name: "cifar10", split: "train", dir: folder })).labels.length, 20);
    assertEquals(visible().includes(name), true);
    assertEquals(tree(folder).some((path) => path.startsWith(".prepare")), false);
  }));

Deno.test("prepare() goes on between the moves into place", () =>
  inTemporaryFolder(async (folder) => {
    const { "imagelabels.mat": labels, "setid.mat": sets, ...images } = flowerFiles();
    const files = { "imagelabels.mat": labels, "setid.mat": sets, "102flowers.tgz": await gzip(tarOf(images)) };
    await using server = serve(slashed(files));
    await preparedFrom(server, `${folder}/whole`, "oxford102flowers");
    const asked = server.requests.length;
    // As a process leaves it that was killed after one of three moves.
    const half = `${folder}/half`;
    await Deno.mkdir(`${half}/.prepare/oxford102flowers/arranged`, { recursive: true });
    await Deno.rename(`${folder}/whole/train`, `${half}/train`);
    for (const split of ["val", "test"]) {
      await Deno.rename(`${folder}/whole/${split}`, `${half}/.prepare/oxford102flowers/arranged/${split}`);
    }
    const record = JSON.parse(await Deno.readTextFile(`${folder}/whole/swagpu-data-oxford102flowers.json`));
    await Deno.writeTextFile(
      `${half}/.prepare/oxford102flowers/plan.json`,
      JSON.stringify(record),
    );
    const { requests, already } = await preparedFrom(server, half, "oxford102flowers");
    assertEquals([requests.length, already], [asked, false]);
    assertEquals(tree(half).length, 9);
    // Folders that are not ours are left alone.
    await Deno.mkdir(`${folder}/other/train`, { recursive: true });
    await assertRejects(
      () => prepared(`${folder}/other`, "oxford102flowers", files),
      Error,
      "other/train exists",
    );
  }));

Deno.test("prepare() does not count as its own what it could not remove", () =>
  inTemporaryFolder(async (folder) => {
    const work = `${folder}/.prepare/cifar10`;
    await Deno.mkdir(`${work}/arranged`, { recursive: true });
    await Deno.writeTextFile(`${work}/arranged/strange`, "of another archive");
    await Deno.writeTextFile(`${work}/identity.json`, "another archive");
    await Deno.writeFile(`${folder}/cifar-10-binary.tar.gz`, await gzip(tarOf(CIFAR_FILES)));
    const args = ["data", "prepare", "cifar10", "--data-dir", folder, "--unverified", "--quiet"];
    const permissions = "--allow-read --allow-write";
    const refused = await runCli(args, { permissions: `${permissions} --deny-write=${work}/arranged` });
    assertRefused(refused, 1, /arranged/);
    assertEquals(await Deno.readTextFile(`${work}/identity.json`), "another archive");
    const { code, stderr } = await runCli(args, { permissions });
    assertEquals([code, stderr], [0, ""]);
    assertEquals(tree(folder).includes("strange"), false);
  }));

Deno.test("prepare() checks the published digest of downloads and of archives that lie there", () =>
  inTemporaryFolder(async (folder) => {
    const archive = await gzip(tarOf(CIFAR_FILES));
    const name = "cifar-10-binary.tar.gz";
    const checked = { unverified: false };
    await assertRejects(() => prepared(folder, "cifar10", { [name]: archive }, checked), Error, "is published");
    assertEquals(tree(folder), [`.prepare/cifar10/${name}.address`, ".prepare/cifar10/lock"]);
    await Deno.writeFile(`${folder}/${name}`, archive);
    await assertRejects(() => prepared(folder, "cifar10", {}, checked), Error, "is published");
    const { createHash } = await import("node:crypto");
    const hex = createHash("md5").update(archive).digest("hex");
    const source: Source = {
      ...SOURCES.cifar10,
      files: [{ ...SOURCES.cifar10.files[0], digest: { algorithm: "md5", hex } }],
    };
    const { files } = await prepared(folder, "cifar10", {}, { ...checked, source });
    assertEquals(files[0].verified, `md5:${hex}`);
  }));

Deno.test("prepare() refuses hostile archives and bombs; nothing appears", () =>
  inTemporaryFolder(async (folder) => {
    const name = "cifar-10-binary.tar.gz";
    const bomb = { ...CIFAR_FILES, "cifar-10-batches-bin/bomb": new Uint8Array(2 ** 21) };
    const source = { ...SOURCES.cifar10, maxUnpackedBytes: 2 ** 20 };
    for (
      const [archive, message] of [
        [tarArchive([{ name: "cifar-10-batches-bin/../../evil", data: Uint8Array.of(1) }]), "leads outside"],
        [tarArchive([{ name: "cifar-10-batches-bin", type: "2", link: "/tmp" }]), "is a symlink"],
        [tarOf(bomb), "more bytes or files"],
        [tarOf({ "other/file": "x" }), "data_batch_1.bin is not in the archive"],
      ] as const
    ) {
      const packed = { [name]: await gzip(archive) };
      await assertRejects(() => prepared(`${folder}/data`, "cifar10", packed, { source }), Error, message);
      assertEquals(tree(folder).filter((path) => !path.startsWith("data/.prepare/")), []);
      await Deno.remove(`${folder}/data`, { recursive: true });
    }
  }));

Deno.test("prepare() run twice at once does the work once", () =>
  inTemporaryFolder(async (folder) => {
    const files = { "/cifar-10-binary.tar.gz": await gzip(tarOf(CIFAR_FILES)) };
    await using server = serve(files);
    const both = await Promise.all([1, 2].map(() => preparedFrom(server, folder, "cifar10")));
    assertEquals(both.map(({ already }) => already).sort(), [false, true]);
  }));

Deno.test("SOURCES state an address and a well-formed digest or none, and bounds", () => {
  for (const [name, { files, maxUnpackedBytes, manual }] of Object.entries(SOURCES)) {
    for (const { name: file, url, digest, maxBytes } of files) {
      assertEquals(url === undefined ? manual !== undefined : url.endsWith(`/${file}`), true, `${name} ${file}`);
      assertEquals(digest === undefined || /^[0-9a-f]{32}$/.test(digest.hex), true, `${name} ${file}`);
      assertEquals(maxBytes > 0 && maxUnpackedBytes > 0, true);
    }
  }
});

Deno.test("swagpu data prepare works under the permissions that its help states, with the server's host", () =>
  inTemporaryFolder(async (folder) => {
    const archive = await gzip(tarOf(CIFAR_FILES));
    await using server = serve({ "/cifar-10-binary.tar.gz": archive });
    const args = ["data", "prepare", "cifar10", "--data-dir", `${folder}/d`, "--url", server.address, "--unverified"];
    const refused = await runCli(args, { permissions: "--allow-read --allow-write" });
    assertRefused(
      { ...refused, stderr: refused.stderr.replace(/^downloading .*\n/, "") },
      1,
      /--allow-net=127\.0\.0\.1:\d+/,
    );
    const permissions = `--allow-net=${server.host} --allow-read --allow-write`;
    const { code, stdout, stderr } = await runCli([...args, "--json", "--quiet"], { permissions });
    assertEquals([code, stderr], [0, ""]);
    const result = JSON.parse(stdout);
    assertEquals([result.name, result.already, result.files[0].bytes], ["cifar10", false, archive.length]);
    const again = await runCli(args, { permissions: "--allow-read --allow-write" });
    assertEquals(again.code, 0, again.stderr);
    assertStringIncludes(again.stdout, "cifar10 is there already");
    const digest = await runCli([...args.slice(0, 4), `${folder}/e`, ...args.slice(5, 7), "--quiet"], { permissions });
    assertRefused(digest, 1, /its md5 is \w{32}, but c32a1d4ab5d03f1284b67883e8d87530 is published/);
  }));

Deno.test("swagpu data refuses unknown actions, names and addresses, and imagenet100 without its list", async () => {
  const refuse = async (args: readonly string[], message: RegExp) =>
    assertRefused(
      await runCli(["data", ...args, "--data-dir", "nowhere"], { permissions: "--allow-read" }),
      2,
      message,
    );
  await refuse(["fetch", "cifar10"], /Cannot run data fetch: prepare is required/);
  await refuse(["prepare", "mnist"], /data set "mnist": it is unknown/);
  await refuse(["prepare", "flowers17"], /Cannot prepare flowers17: it has no address; known are cifar10, /);
  await refuse(["prepare", "custom"], /archive is required \(--url\)/);
  await refuse(["prepare", "custom", "--url", "http://x/images"], /ends in .tar, .tar.gz, .tgz or .zip is required/);
  await refuse(["prepare", "cifar10", "--url", "ftp://x"], /http:\/\/ or https:\/\/ is required/);
  await refuse(["prepare", "imagenet100"], /--class-list/);
  await refuse(["prepare"], /takes 2 exactly|data takes 2/);
});

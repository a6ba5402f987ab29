import { assertEquals, assertRejects } from "@std/assert";
import { FormatError, UsageError } from "../../lib/errors.ts";
import { assertRefused, runCli } from "../cli/run_cli.ts";
import { JPEG } from "../data/arrays.ts";
import { inTemporaryFolder } from "../data/helpers.ts";
import { prepared, tree } from "./prepared.ts";
import { tarArchive, tarOf } from "./server.ts";

Deno.test("prepare() refuses an archive of custom images that has its folders in two places", () =>
  inTemporaryFolder(async (folder) => {
    for (
      const [paths, message] of [
        [["x/train/a/1.jpg", "y/train/a/1.jpg"], "test/ in x/ and in y/; they are required in one place"],
        [["train/a/1.jpg", "y/val/a/1.jpg"], "test/ in its top and in y/"],
      ] as const
    ) {
      const archive = tarOf(Object.fromEntries(paths.map((path, i) => [path, JPEG.subarray(i)])));
      await assertRejects(() => prepared(folder, "custom", { "x.tar": archive }), FormatError, message);
      assertEquals(tree(folder).filter((path) => !path.startsWith(".prepare/")), []);
    }
    // Files of these names, and folders deeper inside, are none of the data set's.
    const archive = tarOf({ "x/train/a/1.jpg": JPEG, "tools/train": "a program", "x/y/val/a/1.jpg": JPEG });
    await prepared(folder, "custom", { "x.tar": archive });
    assertEquals(tree(folder), ["swagpu-data-custom.json", "train/a/1.jpg"]);
  }));

Deno.test("prepare() refuses an archive with a file where another entry needs a folder", () =>
  inTemporaryFolder(async (folder) => {
    const file = { name: "train/a", data: JPEG }, below = { name: "train/a/1.jpg", data: JPEG };
    for (const entries of [[file, below], [below, file]]) {
      await assertRejects(
        () => prepared(folder, "custom", { "x.tar": tarArchive(entries) }),
        FormatError,
        `Cannot unpack ${entries[1].name}: the archive has a file and a folder of one name`,
      );
    }
  }));

Deno.test("prepare() says that --data-dir, or what is above it, is a file", () =>
  inTemporaryFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/file`, "");
    await Deno.writeTextFile(`${folder}/.prepare`, "");
    for (const dir of [`${folder}/file`, `${folder}/file/below`, folder]) {
      await assertRejects(
        () => prepared(dir, "cifar10", {}),
        UsageError,
        "is a file; a folder is required (--data-dir)",
      );
    }
    const args = ["data", "prepare", "cifar10", "--data-dir", `${folder}/file`];
    assertRefused(
      await runCli(args, { permissions: "--allow-read --allow-write" }),
      2,
      /is a file; a folder is required/,
    );
  }));

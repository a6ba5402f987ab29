import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { FormatError, UsageError } from "../../lib/errors.ts";
import { prepare } from "../../tasks/data/prepare.ts";
import { type Source, SOURCES } from "../../tasks/data/sources.ts";
import { assertRefused, runCli } from "../cli/run_cli.ts";
import { writeTree } from "../data/arrays.ts";
import { inTemporaryFolder } from "../data/helpers.ts";

const FILES = [{ name: "cifar-10-binary.tar.gz", bytes: 3, sha256: "00" }];
const GOOD = { name: "cifar10", files: FILES, targets: ["cifar-10-batches-bin"] };

/** Every file below a folder with its text, but for the lock. */
function contents(folder: string, below = ""): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { name, isDirectory } of Deno.readDirSync(`${folder}/${below}`)) {
    if (isDirectory) Object.assign(found, contents(folder, `${below}${name}/`));
    else if (name !== "lock") found[`${below}${name}`] = Deno.readTextFileSync(`${folder}/${below}${name}`);
  }
  return found;
}

/** Prepares cifar10, which must be refused and change nothing. */
async function refused(folder: string, message: RegExp, kind: typeof FormatError | typeof UsageError = FormatError) {
  const before = contents(folder), source: Source = SOURCES.cifar10;
  const error = await assertRejects(() => prepare({ name: "cifar10", source, folder }), kind);
  assertMatch(error.message, message);
  assertEquals(contents(folder), before);
}

const DAMAGED: readonly (readonly [string, string])[] = [
  ["", "Unexpected end of JSON"],
  ['{"name": "cifar10", "fi', "JSON"],
  ["\u0000\u0000", "JSON"],
  ["null", "its fields are not"],
  ["[]", "its fields are not"],
  ['{"name": "cifar10"}', "its fields are not"],
  ['{"name": 3, "files": []}', "its fields are not"],
  ['{"name": "cifar10", "files": [{"name": "a"}], "targets": []}', "its fields are not"],
  ['{"name": "cifar10", "files": []}', "its fields are not"],
  ['{"name": "cifar10", "files": [], "targets": [], "classes": [1]}', "its fields are not"],
  ['{"name": "cifar100", "files": [], "targets": []}', "it is that of cifar100"],
];

Deno.test("prepare() tells a damaged record, and leaves the data set as it is", () =>
  inTemporaryFolder(async (folder) => {
    await writeTree(folder, { "cifar-10-batches-bin/data_batch_1.bin": "images", "swagpu-data-cifar10.json": "" });
    for (const [text, found] of DAMAGED) {
      await Deno.writeTextFile(`${folder}/swagpu-data-cifar10.json`, text);
      await refused(
        folder,
        new RegExp(`Cannot read ${folder}/swagpu-data-cifar10.json as the record .*: .*${found}.*; prepare it`),
      );
    }
    const args = ["data", "prepare", "cifar10", "--data-dir", folder, "--quiet"];
    const result = await runCli(args, { permissions: "--allow-read --allow-write" });
    assertRefused(result, 1, /swagpu-data-cifar10\.json as the record of a prepared data set/);
    // A whole one says that all is there.
    await Deno.writeTextFile(`${folder}/swagpu-data-cifar10.json`, JSON.stringify(GOOD));
    assertEquals((await prepare({ name: "cifar10", source: SOURCES.cifar10, folder })).already, true);
  }));

Deno.test("prepare() tells a damaged plan, and keeps what was downloaded and arranged", () =>
  inTemporaryFolder(async (folder) => {
    const arranged = ".prepare/cifar10/arranged/cifar-10-batches-bin/test_batch.bin";
    await writeTree(folder, { ".prepare/cifar10/cifar-10-binary.tar.gz": "archive", [arranged]: "images" });
    const plans = [
      ...DAMAGED,
      ...[["../outside"], ["/etc"], [".."], ["."], [""], ["a/b"], ["C:x"], ["a\\b"], [3], "x"].map(
        (targets) => [JSON.stringify({ ...GOOD, targets }), "its fields are not"] as const,
      ),
    ];
    for (const [text, found] of plans) {
      await Deno.writeTextFile(`${folder}/.prepare/cifar10/plan.json`, text);
      await refused(
        folder,
        new RegExp(`Cannot go on preparing ${folder}: .*plan.json is no plan .*${found}.*; remove it`),
      );
    }
    // Of another list of classes: what was moved already would be mixed with it.
    await Deno.writeTextFile(`${folder}/.prepare/cifar10/plan.json`, JSON.stringify({ ...GOOD, classes: ["a"] }));
    await refused(
      folder,
      /it has 1 classes \(as a\), and all classes are asked for; .* remove .*\.prepare\/cifar10 and /,
      UsageError,
    );
    // A whole one is carried out.
    await Deno.writeTextFile(`${folder}/.prepare/cifar10/plan.json`, JSON.stringify(GOOD));
    await prepare({ name: "cifar10", source: SOURCES.cifar10, folder });
    assertEquals(Object.keys(contents(folder)).sort(), [
      "cifar-10-batches-bin/test_batch.bin",
      "swagpu-data-cifar10.json",
    ]);
  }));

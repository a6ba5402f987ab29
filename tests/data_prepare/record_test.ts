import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { FormatError, UsageError } from "../../lib/errors.ts";
import { prepare } from "../../tasks/data/prepare.ts";
import { type Source, SOURCES } from "../../tasks/data/sources.ts";
import { assertRefused, runCli } from "../cli/run_cli.ts";
import { writeTree } from "../data/arrays.ts";
import { inTemporaryFolder } from "../data/helpers.ts";

const FILES = [{ name: "a.tar", bytes: 3, sha256: "00" }];
const GOOD = { name: "cifar10", files: FILES };

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
  ['{"name": "cifar10", "files": [{"name": "a"}]}', "its fields are not"],
];

Deno.test("prepare() tells a damaged record, and leaves the data set as it is", () =>
  inTemporaryFolder(async (folder) => {
    await writeTree(folder, { "cifar-10-batches-bin/data_batch_1.bin": "images", "swagpu-data.json": "" });
    for (const [text, found] of DAMAGED) {
      await Deno.writeTextFile(`${folder}/swagpu-data.json`, text);
      await refused(
        folder,
        new RegExp(`Cannot read ${folder}/swagpu-data.json as the record .*: .*${found}.*; prepare it`),
      );
    }
    const args = ["data", "prepare", "cifar10", "--data-dir", folder, "--quiet"];
    const result = await runCli(args, { permissions: "--allow-read --allow-write" });
    assertRefused(result, 1, /swagpu-data\.json as the record of a prepared data set/);
    // A whole one says that all is there.
    await Deno.writeTextFile(`${folder}/swagpu-data.json`, JSON.stringify(GOOD));
    assertEquals((await prepare({ name: "cifar10", source: SOURCES.cifar10, folder })).already, true);
  }));

Deno.test("prepare() tells a damaged plan, and keeps what was downloaded and arranged", () =>
  inTemporaryFolder(async (folder) => {
    const arranged = ".prepare/arranged/cifar-10-batches-bin/test_batch.bin";
    await writeTree(folder, { ".prepare/cifar-10-binary.tar.gz": "archive", [arranged]: "images" });
    const plans = [
      ...DAMAGED,
      ...[["../outside"], ["/etc"], [".."], ["."], [""], ["a/b"], ["C:x"], ["a\\b"], [3], "x"].map(
        (targets) => [JSON.stringify({ record: GOOD, targets }), "its fields are not"] as const,
      ),
    ];
    for (const [text, found] of plans) {
      await Deno.writeTextFile(`${folder}/.prepare/plan.json`, text);
      await refused(
        folder,
        new RegExp(`Cannot go on preparing ${folder}: .*plan.json is no plan .*${found}.*; remove it`),
      );
    }
    const plan = { record: { ...GOOD, name: "cifar100" }, targets: ["cifar-10-batches-bin"] };
    await Deno.writeTextFile(`${folder}/.prepare/plan.json`, JSON.stringify(plan));
    await refused(folder, /Cannot prepare cifar10 in .*: it holds cifar100; another folder is required/, UsageError);
    // A whole one is carried out.
    const own = { record: GOOD, targets: ["cifar-10-batches-bin"] };
    await Deno.writeTextFile(`${folder}/.prepare/plan.json`, JSON.stringify(own));
    await prepare({ name: "cifar10", source: SOURCES.cifar10, folder });
    assertEquals(Object.keys(contents(folder)).sort(), ["cifar-10-batches-bin/test_batch.bin", "swagpu-data.json"]);
  }));

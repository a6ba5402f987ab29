import { assert, assertAlmostEquals, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { convolutions } from "../../tasks/bench/convolutions.ts";
import type { Peer } from "../../tasks/bench/peers/peer.ts";
import { ownPeer } from "../../tasks/bench/peers/swagpu.ts";
import { makeProblem } from "../../tasks/bench/problem.ts";
import type { Context } from "../../tasks/bench/section.ts";
import { measure, relativeError, spreadOf } from "../../tasks/bench/statistics.ts";
import { steps } from "../../tasks/bench/steps.ts";
import { markdownOf, objectOf } from "../../tasks/bench/table.ts";
import { gpuTests } from "../gpu/harness.ts";
import { withFolder } from "../cli/run_cli.ts";

const gpuTest = gpuTests();
const BENCH = fromFileUrl(new URL("../../tasks/bench.ts", import.meta.url));
const EFFORT = { rounds: 1, seconds: 0 };

Deno.test("spreadOf() gives the median and the quartiles", () => {
  assertEquals(spreadOf([5, 1, 3, 2, 4]), { median: 3, lower: 2, upper: 4, count: 5 });
  assertEquals(spreadOf([1, 2]), { median: 1.5, lower: 1.25, upper: 1.75, count: 2 });
});

Deno.test("measure() warms up, then lets the contestants take turns", async () => {
  const calls: string[] = [];
  const contestant = (name: string) => ({ run: (count: number) => Promise.resolve(calls.push(`${name}${count}`)) });
  const contestants = new Map(["a", "b"].map((name) => [name, contestant(name)]));
  const times = await measure(contestants, { rounds: 2, seconds: 0 });
  assertEquals(calls, ["a1", "a1", "b1", "b1", "a1", "b1", "a1", "b1"]);
  assertEquals([...times.values()].map(({ count }) => count), [2, 2]);
});

Deno.test("relativeError() is a NaN where either side has one", () => {
  assertAlmostEquals(relativeError([3, 4.05], [3, 4]), 0.01, 1e-12);
  assertEquals(relativeError([1, 2], [1, 2]), 0);
  assert(Number.isNaN(relativeError([NaN, 2], [1, 2])) && Number.isNaN(relativeError([1, 2], [NaN, 2])));
});

Deno.test("a table is Markdown for people and an object for machines", () => {
  const spread = { median: 12.345, lower: 0.00012, upper: 1234.5, count: 3 };
  const table = { title: "T", note: "N", columns: ["a", "b", "c"], rows: [["x|y", spread, 64], [2, undefined, 0.5]] };
  assertEquals(
    markdownOf(table),
    "## T\n\nN\n\n| a | b | c |\n|---|---|---|\n| x/y | 12.3 (1.2e-4-1235) | 64 |\n| 2 |  | 0.500 |",
  );
  assertEquals(objectOf(table), { title: "T", rows: [{ a: "x|y", b: spread, c: 64 }, { a: 2, b: undefined, c: 0.5 }] });
});

Deno.test("makeProblem() is the same each time, and its images are its bytes, normalised", () => {
  const problem = makeProblem("resnet8_narrow", 2, 16);
  assertEquals(makeProblem("resnet8_narrow", 2, 16), problem);
  assertEquals([problem.bytes.length, problem.labels.length], [2 * 16 * 16 * 3, 2]);
  assertAlmostEquals(problem.images[4], (problem.bytes[4] / 255 - 0.456) / 0.224, 1e-6);
  assertEquals(problem.parameters.at(-1), { name: "linear.bias", shape: [10] });
});

gpuTest("a peer that agrees is timed; one with a wrong gradient, or none, is reported with the reason", async (gpu) => {
  const own = ownPeer(gpu);
  const trains = () => true;
  const peers: Peer[] = [
    { ...own, name: "twin" },
    {
      name: "wrong gradient",
      trains,
      open: (problem) => own.open({ ...problem, learningRate: problem.learningRate * 1.2 }),
    },
    { name: "wrong loss", trains, open: (problem) => own.open({ ...problem, bytes: problem.bytes.map((b) => b ^ 8) }) },
    { name: "missing", trains, open: () => Promise.reject(new Error("no such package")) },
    { name: "unable", trains: () => false, open: () => Promise.reject(new Error("not asked")) },
  ];
  const context = { gpu, peers, effort: EFFORT, batches: new Map([["resnet8", [2]]]), log() {} };
  const [{ rows }] = await steps(context as unknown as Context);
  assertEquals(rows.map((row) => row[3]), [own.name, "twin", "wrong gradient", "wrong loss", "missing"]);
  const timed = rows.map((row) => typeof row[5] === "number");
  assertEquals(timed, [true, true, false, false, false]);
  const reasons = rows.map((row) => String(row[7]));
  assertEquals(reasons[1], "loss 0e+0, gradient 0e+0");
  assertStringIncludes(reasons[2], "gradient");
  assertStringIncludes(reasons[3], "loss");
  assertEquals(reasons[4], "no such package");
});

gpuTest("convolutions() validates and times each direction of each shape", async (gpu) => {
  const [{ rows }] = await convolutions({ gpu, effort: EFFORT, log() {} } as unknown as Context);
  assertEquals(rows.length, 18);
  for (const row of rows) assert((row[3] as number) > 0);
});

Deno.test("tasks/bench.ts writes a table and prints one JSON object", async () => {
  await withFolder(async (folder) => {
    const out = `${folder}/new/bench.md`;
    const flags = ["--only", "steps", "--peers", "none", "--networks", "resnet20", "--resnet20-batch", "2"];
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", BENCH, ...flags, "--rounds", "1", "--seconds", "0", "--json", "--out", out],
    }).output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    const { date, adapter, command, tables } = JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1)!);
    assert(/^\d{4}-/.test(date) && adapter !== "" && command.includes("--only steps"));
    assertEquals(tables.map(({ title }: { title: string }) => title), ["Training steps"]);
    assertEquals(tables[0].rows[0].network, "resnet20");
    assertStringIncludes(await Deno.readTextFile(out), "| resnet20 | 32 | 2 | swagpu");
  });
});

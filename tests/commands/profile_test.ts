import { assert, assertAlmostEquals, assertEquals, assertStringIncludes } from "@std/assert";
import { chromeTrace, profileRows, profileText } from "../../tasks/commands/profile.ts";
import { namesIn, runCli, withFolder } from "../cli/run_cli.ts";
import { makeTask, runJson, sampleHashes, taskFlags } from "./task.ts";

const STEP = {
  step: 4,
  host: [{ name: "encode", start: 100, end: 101 }, { name: "wait", start: 101, end: 120 }],
  device: [
    { name: "a forward", kind: "conv2d forward", start: 101, end: 105, flops: 8e6, bytes: 4e6 },
    { name: "b forward", kind: "conv2d forward", start: 105, end: 107, flops: 4e6, bytes: 2e6 },
    { name: "c", kind: "relu forward", start: 110, end: 112, bytes: 6e6 },
  ],
};

Deno.test("profileRows() adds launches up by kind, with rates and shares", () => {
  const rows = profileRows([STEP, STEP], "kind", { flops: 4e9, bandwidth: 6e9 });
  assertEquals(rows.map(({ name, calls, milliseconds }) => [name, calls, milliseconds]), [
    ["conv2d forward", 4, 12],
    ["relu forward", 2, 4],
  ]);
  const [conv, relu] = rows;
  assertEquals([conv.share, relu.share], [0.75, 0.25]);
  // 24e6 operations and 12e6 bytes in 12 ms; 12e6 bytes in 4 ms.
  assertAlmostEquals(conv.flops!, 2e9, 1);
  assertAlmostEquals(conv.bandwidth, 1e9, 1);
  assertAlmostEquals(conv.ofPeak, 0.5, 1e-9);
  assertEquals(relu.flops, undefined);
  assertAlmostEquals(relu.ofPeak, 0.5, 1e-9);
  assertEquals(profileRows([STEP], "name", { flops: 1, bandwidth: 1 }).map(({ name }) => name), [
    "a forward",
    "b forward",
    "c",
  ]);
});

Deno.test("profileText() says how much of the time the launches fill", () => {
  const text = profileText([STEP, STEP], { flops: 4e9, bandwidth: 6e9 }, "an adapter");
  // 8 of the 11 ms from the first launch to the last.
  assertStringIncludes(text, "72.7 % of the time");
  assertStringIncludes(text, "11.0 ms, in which the host waits 19.0 ms");
  assertStringIncludes(text, "| conv2d forward | 4 | 12.000 | 75.0 | 2.00 | 1.00 | 50 |");
  assertStringIncludes(text, "| wait | 19.000 |");
});

Deno.test("chromeTrace() has a span of everything, in microseconds from the first", () => {
  const { traceEvents } = chromeTrace([STEP]);
  const spans = traceEvents.flatMap((event) => event.ph === "X" ? [event] : []);
  assertEquals(spans.map(({ name, cat, ts, dur }) => [name, cat, ts, dur]), [
    ["encode", "host", 0, 1000],
    ["wait", "host", 1000, 19000],
    ["a forward", "device", 1000, 4000],
    ["b forward", "device", 5000, 2000],
    ["c", "device", 10000, 2000],
  ]);
  assertEquals(new Set(spans.map(({ cat, tid }) => `${cat} ${tid}`)).size, 2);
});

Deno.test("--profile writes tables and a trace, and changes no sample", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const flags = [...taskFlags(task), "--max-steps", "4"];
    const infer = ["infer", ...flags, "--prior-path", task.prior, "--n-samples", "2"];
    await runJson([...infer, "--out", `${folder}/plain`]);
    await runJson([...infer, "--out", `${folder}/timed`, "--profile", `${folder}/of/infer`]);
    assertEquals(sampleHashes(`${folder}/timed`), sampleHashes(`${folder}/plain`));
    const learn = ["prior", ...flags, "--weights-path", task.checkpoint, "--out", `${folder}/learned.safetensors`];
    await runJson([...learn, "--profile", `${folder}/of/prior`]);
    for (const command of ["infer", "prior"]) {
      const profile = `${folder}/of/${command}`;
      assertEquals(namesIn(profile), ["profile.md", "trace.json"]);
      const text = await Deno.readTextFile(`${profile}/profile.md`);
      for (const row of ["| conv2d weight gradient |", "| layer1.0.conv1 forward |", "| encode |"]) {
        assertStringIncludes(text, row);
      }
      const { traceEvents } = JSON.parse(await Deno.readTextFile(`${profile}/trace.json`));
      // deno-lint-ignore no-explicit-any -- as parsed
      const spans = traceEvents.filter(({ ph }: any) => ph === "X");
      for (const { name, ts, dur } of spans) assert(ts >= 0 && dur >= 0, `${name} begins at ${ts} and takes ${dur}`);
      // deno-lint-ignore no-explicit-any -- as parsed
      const device = spans.filter(({ cat }: any) => cat === "device");
      // The first of the four steps warms up nothing: so short a run is profiled whole.
      assertEquals(new Set(device.map(({ args }: { args: { step: number } }) => args.step)), new Set([0, 1, 2, 3]));
      assertEquals(device.length % 4, 0);
    }
  });
});

Deno.test("--profile refuses a path that is no folder before the run begins", async () => {
  await withFolder(async (folder) => {
    const task = makeTask(folder);
    const path = `${folder}/file`;
    await Deno.writeTextFile(path, "");
    const args = ["infer", ...taskFlags(task), "--prior-type", "none", "--out", `${folder}/run`, "--profile", path];
    const { code, stderr } = await runCli(args, { permissions: "--allow-read --allow-write" });
    assertEquals(code, 1);
    assertStringIncludes(stderr, `Cannot write the profile ${path}`);
    assertEquals(namesIn(folder).includes("run"), false);
  });
});

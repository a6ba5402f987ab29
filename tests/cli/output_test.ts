import { assertEquals } from "@std/assert";
import { createIo } from "../../tasks/cli/output.ts";
import { recordingSink } from "./sink.ts";

Deno.test("createIo() prints results for people or for programs", () => {
  for (const json of [false, true]) {
    const stdout = recordingSink(), stderr = recordingSink();
    const io = createIo(stdout, stderr, { json, quiet: false });
    io.note("remark");
    io.result({ accuracy: 0.5, nll: NaN, ece: Infinity }, ["accuracy 50 %", "NLL NaN"]);
    assertEquals(stdout.text(), json ? '{"accuracy":0.5,"nll":null,"ece":null}\n' : "accuracy 50 %\nNLL NaN\n");
    assertEquals(stderr.text(), "remark\n");
  }
});

Deno.test("createIo() keeps to results when it is quiet", () => {
  const stdout = recordingSink(), stderr = recordingSink(80);
  const io = createIo(stdout, stderr, { json: false, quiet: true });
  io.note("remark");
  const progress = io.progress("training", 3);
  progress.update({ step: 3 });
  progress.finish();
  io.result({}, ["done"]);
  assertEquals(stdout.text(), "done\n");
  assertEquals(stderr.text(), "");
});

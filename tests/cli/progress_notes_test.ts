import { assertEquals } from "@std/assert";
import { createProgress } from "../../tasks/cli/progress.ts";
import { recordingSink } from "./sink.ts";

Deno.test("createProgress() prints notes above the bar of a terminal, and between lines elsewhere", () => {
  const noted = (columns?: number) => {
    const sink = recordingSink(columns);
    let time = 0;
    const progress = createProgress(sink, { label: "training", total: 4, quiet: false, now: () => time });
    progress.note("before");
    time = 10_000;
    progress.update({ step: 2 });
    progress.note("between");
    progress.finish();
    return sink.text();
  };
  assertEquals(noted(), "before\ntraining 2/4  ...\nbetween\n");
  const bar = "\r[############............] training 2/4  ...\x1b[K";
  assertEquals(noted(80), `before\n${bar}\rbetween\x1b[K\n${bar}\n`);
  const sink = recordingSink();
  createProgress(sink, { label: "training", total: 4, quiet: true }).note("unseen");
  assertEquals(sink.text(), "");
});

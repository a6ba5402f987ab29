import { assertEquals, assertMatch } from "@std/assert";
import { createProgress, duration } from "../../tasks/cli/progress.ts";
import { recordingSink } from "./sink.ts";

Deno.test("createProgress() draws on a terminal at most ten times a second, over the same line", () => {
  const sink = recordingSink(200);
  let time = 0;
  const progress = createProgress(sink, { label: "training", total: 100, quiet: false, now: () => time });
  for (let step = 1; step <= 50; step++) {
    time += 20;
    progress.update({ step, loss: 2.5, imagesPerSecond: 1234 });
  }
  const frames = sink.text().split("\r").slice(1);
  assertEquals(frames.length, 10);
  assertEquals(frames[9], "[############............] training 50/100  loss 2.5000  1234 images/s  1 s left\x1b[K");
  progress.finish();
  assertEquals(sink.text().endsWith("1 s left\x1b[K\n"), true);
});

Deno.test("createProgress() prints a line every ten seconds where there is no terminal", () => {
  const sink = recordingSink();
  let time = 0;
  const progress = createProgress(sink, { label: "training", total: 60, quiet: false, now: () => time });
  for (let step = 1; step <= 25; step++) {
    time += 1000;
    progress.update({ step, loss: 1 / step });
  }
  assertEquals(sink.text(), "training 10/60  loss 0.1000  50 s left\ntraining 20/60  loss 0.0500  40 s left\n");
});

Deno.test("createProgress() draws the last step when it is finished, once", () => {
  const sink = recordingSink();
  let time = 0;
  const progress = createProgress(sink, { label: "training", total: 3, quiet: false, now: () => time });
  time = 5_000;
  progress.update({ step: 1 });
  time = 65_000;
  progress.update({ step: 2 });
  progress.update({ step: 3, loss: 0.5 });
  progress.finish();
  progress.finish();
  progress.update({ step: 4 });
  assertEquals(sink.text(), "training 2/3  1 min 00 s left\ntraining 3/3  loss 0.5000  1 min 05 s\n");
});

Deno.test("createProgress() judges the time left by the pace since the first update", () => {
  const sink = recordingSink();
  let time = 0;
  const progress = createProgress(sink, { label: "training", total: 1000, quiet: false, now: () => time });
  time = 90_000;
  progress.update({ step: 900 });
  time = 100_000;
  progress.update({ step: 950 });
  assertEquals(sink.text(), "training 900/1000  ...\ntraining 950/1000  10 s left\n");
});

Deno.test("createProgress() never exceeds a narrow terminal", () => {
  const sink = recordingSink(20);
  let time = 0;
  const progress = createProgress(sink, { label: "training", total: 10, quiet: false, now: () => time });
  time = 500;
  progress.update({ step: 5 });
  assertEquals(sink.text(), "\r[############......\x1b[K");
});

Deno.test("createProgress() writes nothing when it is quiet, or when no step was done", () => {
  const sink = recordingSink(80);
  const quiet = createProgress(sink, { label: "training", total: 10, quiet: true });
  quiet.update({ step: 10 });
  quiet.finish();
  createProgress(sink, { label: "training", total: 10, quiet: false }).finish();
  assertEquals(sink.text(), "");
});

Deno.test("createProgress() says loss and pace where they are not finite", () => {
  const sink = recordingSink();
  let time = 0;
  const progress = createProgress(sink, { label: "training", total: 10, quiet: false, now: () => time });
  time = 20_000;
  progress.update({ step: 1, loss: NaN });
  assertMatch(sink.text(), /^training 1\/10 {2}loss NaN {2}\.\.\.\n$/);
});

Deno.test("duration() speaks as people do", () => {
  assertEquals([-1, 0, 59.4, 59.6, 185, 7440, 90_000].map(duration), [
    "0 s",
    "0 s",
    "59 s",
    "1 min 00 s",
    "3 min 05 s",
    "2 h 04 min",
    "25 h 00 min",
  ]);
});

import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { renderReport, type Report } from "../../lib/evaluation/report.ts";
import { reliability } from "../../lib/evaluation/metrics.ts";
import { softmax } from "../../lib/evaluation/softmax.ts";
import fixture from "../fixtures/metrics.json" with { type: "json" };

const bins = reliability(softmax(Float32Array.from(fixture.logits[0]), fixture.classes), fixture.labels);
const evil = `<img src=x onerror="alert(1)">'&`;

const report: Report = {
  title: "Two methods",
  subtitle: "Ten labels a class",
  table: {
    columns: ["Method", { name: "Accuracy", best: "highest" }, { name: "NLL", best: "lowest", digits: 2 }, "Seconds"],
    rows: [
      ["sgd", { mean: 0.7, std: 0.01 }, { mean: 1.25, std: 0.02 }, 40],
      ["sghmc", { mean: 0.8, std: 0.02 }, { mean: 1.251, std: 0.03 }, 90],
    ],
  },
  reliability: [{ name: "sghmc", bins }, { name: "sgd", bins }],
  curves: [{
    title: "Accuracy against labels",
    xLabel: "labels",
    yLabel: "accuracy",
    xLog: true,
    series: [
      { name: "sghmc", points: [{ x: 10, mean: 0.5, std: 0.02 }, { x: 100, mean: 0.8, std: 0.01 }] },
      { name: "sgd", points: [{ x: 10, mean: 0.4, std: 0.02 }, { x: 100, mean: 0.7, std: 0.01 }] },
    ],
  }],
  notes: ["The test set was used once."],
  config: { seed: 1, prior: { scale: 1e4, ranks: [1, 5] }, resume: undefined },
};

Deno.test("renderReport() is one page without script, network or file", () => {
  const html = renderReport(report);
  assertStringIncludes(html, `content="default-src 'none'; style-src 'unsafe-inline'"`);
  assert(!/<script|<link|<img|<iframe|@import|https?:|\ssrc=|\shref=/i.test(html));
  // The only url() are the hatches of this page.
  assertEquals(
    [...html.matchAll(/url\(([^)]*)\)/g)].every(([, target]) => /^#reliability-\d-hatch$/.test(target)),
    true,
  );
  assertStringIncludes(html, "prefers-color-scheme: dark");
});

Deno.test("renderReport() closes every element it opens, and no id stands twice", () => {
  const html = renderReport(report);
  const open: string[] = [];
  const empty = new Set(["meta", "!doctype"]);
  for (const [, close, name, self] of html.matchAll(/<(\/?)([!a-z][a-z0-9]*)(?:\s[^<>]*?)?(\/?)>/gi)) {
    if (close === "/") assertEquals(open.pop(), name);
    else if (self === "" && !empty.has(name.toLowerCase())) open.push(name);
  }
  assertEquals(open, []);
  const ids = [...html.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
  assertEquals(new Set(ids).size, ids.length);
  for (const [, names] of html.matchAll(/aria-labelledby="([^"]*)"/g)) {
    for (const name of names.split(" ")) assert(ids.includes(name), name);
  }
});

Deno.test("renderReport() draws only finite coordinates", () => {
  assert(!/="[^"]*(NaN|Infinity|undefined)/.test(renderReport(report)));
});

Deno.test("renderReport() escapes every text it is given", () => {
  const html = renderReport({
    title: evil,
    subtitle: evil,
    table: { columns: [evil, evil], rows: [[evil, evil]] },
    reliability: [{ name: evil, bins }],
    curves: [{
      ...report.curves[0],
      title: evil,
      xLabel: evil,
      yLabel: evil,
      series: [{ name: evil, points: [{ x: 1, mean: 1, std: 0 }] }],
    }],
    notes: [evil],
    config: { [evil]: evil, list: [evil] },
  });
  assert(!html.includes("<img"));
  assert(!html.includes(`onerror="`));
  // title twice, subtitle, 2 columns, 2 cells, method, chart title, note, key, value, and so on.
  assert(html.split("&lt;img src=x onerror=").length > 12);
});

Deno.test("renderReport() gives a method one colour wherever it appears", () => {
  const html = renderReport(report);
  const panels = html.split(`<div class="panel">`).slice(1);
  assertMatch(panels[0], /<h3>sghmc[\s\S]*<g class="s1">/);
  assertMatch(panels[1], /<h3>sgd<[\s\S]*<g class="s0">/);
  assertStringIncludes(html, `<span class="swatch s0"></span>sgd<`);
  assertStringIncludes(html, `<span class="swatch s1"></span>sghmc<`);
});

Deno.test("renderReport() sets the best of a column in bold, and what prints like it", () => {
  const html = renderReport(report);
  assertStringIncludes(html, `<td><span class="best">0.800</span><span class="deviation"> ± 0.020</span></td>`);
  assertStringIncludes(html, `<td>0.700<span class="deviation"> ± 0.010</span></td>`);
  assertEquals(html.split(`<span class="best">1.25</span>`).length, 3);
  assertStringIncludes(html, `<td>90</td>`);
});

Deno.test("renderReport() tells those who do not see a chart what it holds", () => {
  const html = renderReport(report);
  assertStringIncludes(html, "sghmc: 0.5000 ± 0.0200 at 10; 0.8000 ± 0.0100 at 100.");
  assertMatch(html, /60 predictions, expected calibration error 0\.\d{3}\. Confidence/);
});

Deno.test("renderReport() draws bars at their heights", () => {
  const one = reliability(Float64Array.of(0.75, 0.25, 0.75, 0.25), [0, 1], 1);
  const html = renderReport({ ...report, reliability: [{ name: "one", bins: one }] });
  const bar = /class="bar"[^>]* y="([\d.]+)" height="([\d.]+)"/.exec(html)!.slice(1).map(Number);
  const gap = /class="gap"[^>]* y="([\d.]+)" height="([\d.]+)"/.exec(html)!.slice(1).map(Number);
  // Accuracy ½, confidence ¾: the gap stands on the bar and is half as high.
  assertEquals(gap[1] * 2, bar[1]);
  assertEquals(gap[0] + gap[1], bar[0]);
});

Deno.test("renderReport() leaves out empty parts and undefined settings, and flattens the others", () => {
  const html = renderReport({ ...report, table: { columns: [], rows: [] }, reliability: [], curves: [], notes: [] });
  assertEquals([...html.matchAll(/<h2>(.*?)<\/h2>/g)].map(([, title]) => title), ["Configuration"]);
  assertStringIncludes(html, `<th scope="row">prior.scale</th><td>10000</td>`);
  assertStringIncludes(html, `<th scope="row">prior.ranks</th><td>[1,5]</td>`);
  assert(!html.includes("resume"));
});

Deno.test("renderReport() copes with single, equal, unordered and missing points", () => {
  const points = (series: Report["curves"][number]["series"]) =>
    renderReport({ ...report, curves: [{ ...report.curves[0], series }] });
  for (
    const html of [
      points([{ name: "a", points: [{ x: 10, mean: 0.5, std: 0.1 }] }]),
      points([{ name: "a", points: [{ x: 10, mean: 0, std: 0 }] }]),
      points([{ name: "a", points: [{ x: 10, mean: NaN, std: 0 }, { x: 20, mean: 1, std: NaN }] }, {
        name: "b",
        points: [],
      }]),
      points(Array.from({ length: 30 }, (_, i) => ({ name: `m${i}`, points: [{ x: 1, mean: 1, std: 0 }] }))),
    ]
  ) {
    assertStringIncludes(html, `id="curve-0-title"`);
    assert(!/="[^"]*(NaN|Infinity|undefined)/.test(html));
  }
  assertStringIncludes(points([]), "No points.");
  const swapped = points([{ name: "a", points: [{ x: 100, mean: 2, std: 0 }, { x: 10, mean: 1, std: 0 }] }]);
  assertStringIncludes(swapped, "a: 1.0000 at 10; 2.0000 at 100.");
});

Deno.test("renderReport() refuses ragged tables and logarithms of nothing", () => {
  assertThrows(
    () => renderReport({ ...report, table: { columns: ["a", "b"], rows: [["x"]] } }),
    TypeError,
    "a row of 1 cells in a table of 2 columns",
  );
  const series = [{ name: "a", points: [{ x: 0, mean: 1, std: 0 }] }];
  assertThrows(
    () => renderReport({ ...report, curves: [{ ...report.curves[0], series }] }),
    RangeError,
    "a point has x = 0",
  );
});

import { assertAlmostEquals, assertEquals } from "@std/assert";
import { formatNumber, linearScale, linearTicks, logScale, logTicks, mark } from "../../lib/evaluation/svg.ts";

Deno.test("linearTicks() are round numbers inside the axis", () => {
  const labels = (from: number, to: number, count: number) => linearTicks(from, to, count).map(({ label }) => label);
  assertEquals(labels(0, 1, 5), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
  assertEquals(labels(0.3, 0.92, 5), ["0.4", "0.6", "0.8"]);
  assertEquals(labels(-3, 3, 3), ["−2", "0", "2"]);
  assertEquals(labels(0, 9000, 6), ["0", "2000", "4000", "6000", "8000"]);
  assertEquals(labels(0, 40000, 4), ["0", "10\u2009000", "20\u2009000", "30\u2009000", "40\u2009000"]);
});

Deno.test("logTicks() are powers of ten, with 2 and 5 on short axes", () => {
  assertEquals(logTicks(1, 100).map(({ value }) => value), [1, 2, 5, 10, 20, 50, 100]);
  assertEquals(logTicks(3, 60000).map(({ label }) => label), ["10", "100", "1000", "10\u2009000"]);
});

Deno.test("scales map their ends to their ends", () => {
  const linear = linearScale(2, 4, 100, 0), log = logScale(1, 100, 0, 50);
  assertEquals([2, 3, 4].map(linear), [100, 50, 0]);
  [0, 25, 50].forEach((pixel, i) => assertAlmostEquals(log(10 ** i), pixel, 1e-12));
});

Deno.test("formatNumber() writes numbers as print does", () => {
  assertEquals(formatNumber(0.5), "0.5");
  assertEquals(formatNumber(0.1 + 0.2), "0.3");
  assertEquals(formatNumber(-1.25, 1), "−1.3");
  assertEquals(formatNumber(-0.0001, 2), "0.00");
  assertEquals(formatNumber(1234567.891, 1), "1.23·10⁶");
  assertEquals(formatNumber(1e10), "10¹⁰");
  assertEquals(formatNumber(2.5e-8), "2.5·10⁻⁸");
  assertEquals(formatNumber(12345.678, 2), "12\u2009345.68");
  assertEquals([NaN, Infinity, -Infinity].map((value) => formatNumber(value)), ["–", "∞", "−∞"]);
});

Deno.test("mark() gives each of eight series a shape of its own", () => {
  assertEquals(new Set(Array.from({ length: 8 }, (_, i) => mark(i, 10, 10).text)).size, 8);
  assertEquals(mark(8, 10, 10).text, mark(0, 10, 10).text);
});

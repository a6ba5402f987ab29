import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { FormatError } from "../../lib/errors.ts";
import { scratch } from "../../lib/ops/operation.ts";
import {
  adapterKey,
  entriesOf,
  formatTuningCache,
  knownVariants,
  parseTuningCache,
  type TuningCache,
  withEntries,
} from "../../lib/tuning/cache.ts";
import type { ProductClass } from "../../lib/tuning/products.ts";

const ADAPTER = { vendor: "maker", architecture: "family", device: "7", description: "card", isCpu: false };

function productOf(shapeClass: string, source: string): ProductClass {
  const variant = (name: string) => ({
    name,
    lower: () => [{ label: name, source, constants: {}, bindings: [], groups: [1, 1, 1] as const }],
  });
  return {
    shapeClass,
    count: 1,
    flops: 1,
    operands: [],
    output: scratch("output", [1]),
    variants: [variant("usual"), variant("other")],
  };
}

Deno.test("a tuning cache returns from its text, of several adapters", async () => {
  const products = [productOf("p", "text p"), productOf("q", "text q")];
  const here = adapterKey(ADAPTER, "deno 1"), there = adapterKey({ ...ADAPTER, device: "8" }, "deno 1");
  assertNotEquals(here, there);
  assertNotEquals(here, adapterKey(ADAPTER, "deno 2"));
  let cache: TuningCache = {};
  cache = withEntries(cache, here, await entriesOf({ p: "other", unknown: "x" }, products));
  cache = withEntries(cache, there, await entriesOf({ p: "usual", q: "other" }, products));
  cache = withEntries(cache, here, await entriesOf({ q: "usual" }, products));
  cache = parseTuningCache(formatTuningCache(cache));
  assertEquals(await knownVariants(cache, here, products), { p: "other", q: "usual" });
  assertEquals(await knownVariants(cache, there, products), { p: "usual", q: "other" });
  assertEquals(await knownVariants(cache, "elsewhere", products), {});
});

Deno.test("knownVariants() forgets what was found of other kernels, and variants that are no more", async () => {
  const product = productOf("p", "text");
  const cache = { here: await entriesOf({ p: "other" }, [product]) };
  assertEquals(await knownVariants(cache, "here", [product]), { p: "other" });
  assertEquals(await knownVariants(cache, "here", [productOf("p", "other text")]), {});
  const { variants: [usual] } = product;
  assertEquals(await knownVariants(cache, "here", [{ ...product, variants: [usual] }]), {});
});

Deno.test("parseTuningCache() refuses what is no cache of this version", () => {
  const whole = JSON.parse(formatTuningCache({ here: { p: { kernels: "0", variant: "usual" } } }));
  assertEquals(parseTuningCache(JSON.stringify(whole)), whole.adapters);
  for (
    const text of [
      "",
      "{",
      "null",
      "[]",
      "{}",
      JSON.stringify({ ...whole, version: 2 }),
      JSON.stringify({ ...whole, format: "other" }),
      JSON.stringify({ ...whole, adapters: [] }),
      JSON.stringify({ ...whole, adapters: { here: { p: { kernels: "0" } } } }),
      JSON.stringify({ ...whole, adapters: { here: { p: { kernels: 0, variant: "usual" } } } }),
      JSON.stringify({ ...whole, adapters: { here: null } }),
      formatTuningCache(whole.adapters).slice(0, -20),
    ]
  ) {
    assertThrows(() => parseTuningCache(text), FormatError, "Cannot read a tuning cache: ", text);
  }
});

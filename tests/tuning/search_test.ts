import { assertEquals, assertRejects } from "@std/assert";
import { scratch } from "../../lib/ops/operation.ts";
import type { ProductClass } from "../../lib/tuning/products.ts";
import { type ProductBench, RejectedVariant, search, type SearchOptions } from "../../lib/tuning/search.ts";

/** Milliseconds of each variant by name, or why it is refused; the first is the default. */
type Times = Readonly<Record<string, number | string>>;

function productOf(shapeClass: string, times: Times): ProductClass {
  return {
    shapeClass,
    count: 1,
    flops: 1,
    operands: [],
    output: scratch("output", [1]),
    variants: Object.keys(times).map((name) => ({ name, lower: () => [] })),
  };
}

/** Searches on a device that exists in numbers only: its clock moves by what a variant takes. */
async function searchFake(table: Readonly<Record<string, Times>>, options: Partial<SearchOptions> = {}) {
  let clock = 0, open = 0;
  const timed: string[] = [];
  const products = Object.entries(table).map(([name, times]) => productOf(name, times));
  const openBench = ({ shapeClass }: ProductClass): Promise<ProductBench> => {
    if (table[shapeClass].open === "refused") return Promise.reject(new RejectedVariant("no memory"));
    open++;
    return Promise.resolve({
      time({ name }) {
        timed.push(name);
        const time = table[shapeClass][name];
        clock += typeof time === "number" ? time : 1;
        if (time === "broken") return Promise.reject(new TypeError("broken"));
        return typeof time === "number" ? Promise.resolve(time) : Promise.reject(new RejectedVariant(time));
      },
      destroy: () => void open--,
    });
  };
  const result = await search(products, openBench, { seconds: 1e9, now: () => clock, ...options })
    .finally(() => assertEquals(open, 0, "benches that were not freed"));
  return { ...result, timed };
}

Deno.test("search() takes the faster of two", async () => {
  const { table, rows, left, seconds } = await searchFake({ p: { usual: 10, other: 4 }, q: { usual: 4, other: 10 } });
  assertEquals(table, { p: "other", q: "usual" });
  assertEquals(rows.map(({ usualTime, chosenTime, tried }) => [usualTime, chosenTime, tried]), [[10, 4, 2], [4, 4, 2]]);
  // Where another variant was faster both were timed again.
  assertEquals([left, seconds], [0, (10 + 4 + 10 + 4 + 4 + 10) / 1000]);
});

Deno.test("search() keeps the default on a tie, and unless the margin is saved", async () => {
  const choose = async (other: number, margin?: number) =>
    (await searchFake({ p: { usual: 100, other } }, { margin })).table.p;
  assertEquals(await choose(100), "usual");
  assertEquals(await choose(96), "usual");
  assertEquals(await choose(94), "other");
  assertEquals(await choose(94, 0.2), "usual");
  assertEquals(await choose(96, 0), "other");
});

Deno.test("search() counts the better of two times of the default", async () => {
  // The first run of a sleeping device: 100, then 10.
  const times = [100, 50, 10, 50];
  const bench: ProductBench = { time: () => Promise.resolve(times.shift()!), destroy: () => {} };
  const { table } = await search([productOf("p", { usual: 0, other: 0 })], () => Promise.resolve(bench), {
    seconds: 9,
  });
  assertEquals([table, times], [{ p: "usual" }, []]);
});

Deno.test("search() passes over a variant that is refused, however fast", async () => {
  const { table, rows } = await searchFake({ p: { usual: 10, wrong: "its numbers differ", right: 5 } });
  assertEquals(table, { p: "right" });
  assertEquals([rows[0].tried, rows[0].rejected], [2, ["wrong: its numbers differ"]]);
});

Deno.test("search() passes over a variant or a product that is refused only when it is timed again", async () => {
  const searchTimes = (...times: (number | string)[]) => {
    const time = () => {
      const next = times.shift()!;
      return typeof next === "number" ? Promise.resolve(next) : Promise.reject(new RejectedVariant(next));
    };
    const open = () => Promise.resolve({ time, destroy: () => {} });
    return search([productOf("p", { usual: 0, other: 0 })], open, { seconds: 9 });
  };
  // Default, other, default again, other again.
  const { table, rows: [row] } = await searchTimes(10, 4, 9, "a race");
  assertEquals([table, row.chosenTime, row.tried, row.rejected], [{ p: "usual" }, 9, 1, ["other: a race"]]);
  assertEquals((await searchTimes(10, 4, "lost", 4)).table, {});
});

Deno.test("search() passes over a product whose default or operands are refused, and ends at other errors", async () => {
  const { table, left } = await searchFake({
    p: { usual: "no memory", other: 1 },
    q: { open: "refused", other: 1 },
    r: { usual: 2, other: 1 },
  });
  assertEquals([table, left], [{ r: "other" }, 0]);
  await assertRejects(() => searchFake({ p: { usual: 1, other: "broken" } }), TypeError, "broken");
});

Deno.test("search() begins no product once the budget is spent, finishes one that was begun, and says what is left", async () => {
  const times = { usual: 600, other: 300 };
  const { table, left, timed } = await searchFake({ p: times, q: times, r: times, one: { usual: 5 } }, {
    seconds: 1.9,
  });
  assertEquals([table, left], [{ p: "other", q: "other" }, 1]);
  assertEquals(timed.length, 8);
  assertEquals((await searchFake({ p: times }, { seconds: 0 })).left, 1);
});

Deno.test("search() spends nothing on products with one variant, and tells of each that it searched", async () => {
  const told: [string, number, number][] = [];
  const { table, timed, left } = await searchFake({ one: { usual: 5 }, p: { usual: 2, other: 1 } }, {
    onProduct: ({ shapeClass }, done, total) => told.push([shapeClass, done, total]),
  });
  assertEquals([table, left, timed.length], [{ p: "other" }, 0, 4]);
  assertEquals(told, [["p", 2, 2]]);
});

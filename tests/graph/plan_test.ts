import { assert, assertEquals } from "@std/assert";
import { planMemory } from "../../lib/graph/plan.ts";
import { type Dispatch, scratch, type Tensor } from "../../lib/ops/operation.ts";
import { PhiloxSequence, Stream } from "../../lib/random/philox.ts";
import { sizeOf } from "../../lib/tensor.ts";

const NO_LIMIT = 2 ** 40;

function dispatch(...bindings: Tensor[]): Dispatch {
  return { label: "", source: "", constants: {}, bindings, groups: [1, 1, 1] };
}

/** First and last use of each scratch tensor; a kept one is used for ever. */
function lives(dispatches: readonly Dispatch[], keep: ReadonlySet<Tensor>): Map<Tensor, [number, number]> {
  const found = new Map<Tensor, [number, number]>();
  dispatches.forEach(({ bindings }, time) => {
    for (const tensor of bindings) {
      if (tensor.role === "scratch") found.set(tensor, [found.get(tensor)?.[0] ?? time, time]);
    }
  });
  for (const tensor of keep) found.set(tensor, [found.get(tensor)![0], Infinity]);
  return found;
}

for (let seed = 0; seed < 30; seed++) {
  Deno.test(`planMemory() lets nothing overlap that is alive at once: random program ${seed}`, () => {
    const random = new PhiloxSequence(seed, Stream.init);
    const tensors = Array.from({ length: 40 }, (_, i) => scratch(`t${i}`, [1 + random.below(2000)]));
    const dispatches = Array.from({ length: 60 }, (_, time) => {
      const near = () => tensors[Math.min(39, Math.floor(time * 40 / 60) + random.below(6))];
      return dispatch(near(), near(), near(), tensors[random.below(40)]);
    });
    const used = dispatches.flatMap(({ bindings }) => bindings);
    const keep = new Set([used[0], used[100]]);
    // Every third program has slabs that hold little more than the largest tensor.
    const limit = seed % 3 === 0 ? 8192 : NO_LIMIT;
    const { places, slabs, lowerBound } = planMemory(dispatches, keep, limit);
    const alive = lives(dispatches, keep);
    assertEquals(new Set(places.keys()), new Set(alive.keys()));
    for (const [a, [firstA, lastA]] of alive) {
      const placeA = places.get(a)!;
      assertEquals(placeA.offset % 256, 0);
      assert(placeA.bytes >= sizeOf(a.shape) * 4);
      assert(placeA.offset + placeA.bytes <= slabs[placeA.slab]);
      for (const [b, [firstB, lastB]] of alive) {
        const placeB = places.get(b)!;
        if (a === b || placeA.slab !== placeB.slab || firstA > lastB || firstB > lastA) continue;
        const apart = placeA.offset + placeA.bytes <= placeB.offset || placeB.offset + placeB.bytes <= placeA.offset;
        assert(apart, `${a.name} and ${b.name} overlap`);
      }
    }
    slabs.forEach((bytes) => assert(bytes <= limit));
    // The bound, counted launch by launch.
    const most = Math.max(
      ...dispatches.map((_, time) =>
        [...alive].filter(([, [first, last]]) => first <= time && time <= last)
          .reduce((sum, [tensor]) => sum + Math.ceil(sizeOf(tensor.shape) / 64) * 256, 0)
      ),
    );
    assertEquals(lowerBound, most);
    assert(slabs.reduce((a, b) => a + b) >= lowerBound);
  });
}

Deno.test("planMemory() gives a chain of equal tensors two places", () => {
  const chain = Array.from({ length: 20 }, (_, i) => scratch(`t${i}`, [64]));
  const dispatches = chain.slice(1).map((tensor, i) => dispatch(chain[i], tensor));
  const plan = planMemory(dispatches, new Set(), NO_LIMIT);
  assertEquals(plan.slabs, [512]);
  assertEquals(plan.lowerBound, 512);
});

Deno.test("planMemory() places scratch alone and nothing where there is none", () => {
  const parameter: Tensor = { name: "weight", shape: [3], role: "parameter" };
  assertEquals(planMemory([dispatch(parameter)], new Set(), NO_LIMIT), {
    places: new Map(),
    slabs: [],
    lowerBound: 0,
  });
});

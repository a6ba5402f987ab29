/**
 * The memory plan: every scratch tensor gets a place in a few slabs for just the launches between its first and last
 * use.
 *
 * @module
 */

import { bytesOf, type Dispatch, storageOf, type Tensor } from "../ops/operation.ts";

/** Offsets of bindings must be multiples of this many bytes. */
const ALIGNMENT = 256;

/** A place in a slab, in bytes. */
export interface Place {
  readonly slab: number;
  readonly offset: number;
  readonly bytes: number;
}

/** Where scratch tensors live. */
export interface MemoryPlan {
  readonly places: ReadonlyMap<Tensor, Place>;
  /** Bytes of each slab. */
  readonly slabs: readonly number[];
  /** Most bytes alive at one launch: no plan needs less. */
  readonly lowerBound: number;
}

interface Life {
  readonly tensor: Tensor;
  readonly bytes: number;
  readonly first: number;
  last: number;
}

function livesOf(dispatches: readonly Dispatch[], keep: ReadonlySet<Tensor>): Life[] {
  const kept = new Set([...keep].map(storageOf));
  const lives = new Map<Tensor, Life>();
  dispatches.forEach(({ bindings }, time) => {
    for (const tensor of bindings.map(storageOf)) {
      if (tensor.role !== "scratch") continue;
      const life = lives.get(tensor);
      if (life !== undefined) life.last = Math.max(life.last, time);
      else {
        const bytes = Math.ceil(bytesOf(tensor) / ALIGNMENT) * ALIGNMENT;
        lives.set(tensor, { tensor, bytes, first: time, last: kept.has(tensor) ? Infinity : time });
      }
    }
  });
  return [...lives.values()];
}

function lowerBoundOf(lives: readonly Life[], times: number): number {
  const change = new Float64Array(times + 1);
  for (const { bytes, first, last } of lives) {
    change[first] += bytes;
    if (last + 1 < times) change[last + 1] -= bytes;
  }
  let alive = 0, most = 0;
  for (const bytes of change) most = Math.max(most, alive += bytes);
  return most;
}

/** Lowest offset at which `bytes` fit beside the neighbours, which are sorted by offset. */
function lowestGap(neighbours: readonly Place[], bytes: number): number {
  let offset = 0;
  for (const place of neighbours) {
    if (place.offset - offset >= bytes) break;
    offset = Math.max(offset, place.offset + place.bytes);
  }
  return offset;
}

/**
 * Places the scratch tensors of a sequence of launches: largest first, each at the lowest offset where nothing that is
 * alive at the same time lies.
 *
 * @param keep tensors that must survive the last launch, because the host reads them
 * @param maxSlabBytes largest buffer that the device makes
 */
export function planMemory(
  dispatches: readonly Dispatch[],
  keep: ReadonlySet<Tensor>,
  maxSlabBytes: number,
): MemoryPlan {
  const lives = livesOf(dispatches, keep);
  const lowerBound = lowerBoundOf(lives, dispatches.length);
  lives.sort((a, b) => b.bytes - a.bytes || a.first - b.first);
  const places = new Map<Tensor, Place>();
  const placed: { life: Life; place: Place }[] = [];
  const slabs: number[] = [];
  for (const life of lives) {
    const neighbours = placed.filter(({ life: other }) => other.first <= life.last && life.first <= other.last);
    for (let slab = 0;; slab++) {
      const inSlab = neighbours.map(({ place }) => place).filter((place) => place.slab === slab).sort((a, b) =>
        a.offset - b.offset
      );
      const offset = lowestGap(inSlab, life.bytes);
      if (offset + life.bytes > maxSlabBytes && offset > 0) continue;
      const place = { slab, offset, bytes: life.bytes };
      slabs[slab] = Math.max(slabs[slab] ?? 0, offset + life.bytes);
      places.set(life.tensor, place);
      placed.push({ life, place });
      break;
    }
  }
  return { places, slabs, lowerBound };
}

import { assertEquals } from "@std/assert";
import { narrowBfloat16, narrowFloat16, widenBfloat16, widenFloat16 } from "../../lib/checkpoint/half.ts";
import { philox4x32 } from "../../lib/random/philox.ts";

/** Random bit patterns, and every float32 next to the middle between two neighbours of binary16. */
function patterns(): Float32Array {
  const random = Uint32Array.from({ length: 20000 }, (_, i) => philox4x32([i, 0, 0, 0], [16, 0])[0]);
  const middles: number[] = [];
  for (let half = 0; half < 0x7c00; half++) {
    const bits = new Uint32Array(Float32Array.of((valueOf(half) + valueOf(half + 1)) / 2).buffer)[0];
    middles.push(bits - 1, bits, bits + 1, 0x80000000 + bits);
  }
  return new Float32Array(Uint32Array.from([...random, ...middles]).buffer);
}

/** A binary16's value by its definition; 0x7c00 is where 65536 would be. */
function valueOf(half: number): number {
  const exponent = half >> 10, fraction = half & 0x3ff;
  return exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
}

Deno.test("widenFloat16() widens every binary16 as its definition says", () => {
  const halves = Uint16Array.from({ length: 0x10000 }, (_, half) => half);
  const wide = widenFloat16(halves);
  for (let half = 0; half < 0x7c00; half++) {
    if (wide[half] !== valueOf(half) || wide[half + 0x8000] !== -valueOf(half)) {
      throw new Error(`0x${half.toString(16)}`);
    }
  }
  assertEquals([wide[0x7c00], wide[0xfc00], wide[0x7e00], Object.is(wide[0x8000], -0)], [
    Infinity,
    -Infinity,
    NaN,
    true,
  ]);
});

Deno.test("narrowFloat16() rounds as the platform's own binary16 does, ties to even", () => {
  const values = patterns();
  const own = narrowFloat16(values);
  const platform = new Uint16Array(Float16Array.from(values).buffer);
  for (let i = 0; i < values.length; i++) {
    const same = own[i] === platform[i] || Number.isNaN(values[i]);
    if (!same) throw new Error(`${values[i]}: 0x${own[i].toString(16)}, 0x${platform[i].toString(16)} is right`);
  }
  assertEquals(Number.isNaN(widenFloat16(narrowFloat16(Float32Array.of(NaN)))[0]), true);
});

Deno.test("narrowBfloat16() keeps every bfloat16 and rounds ties to even", () => {
  const halves = Uint16Array.from({ length: 0x10000 }, (_, half) => half).filter((half) => (half & 0x7fff) <= 0x7f80);
  assertEquals(narrowBfloat16(widenBfloat16(halves)), halves);
  const bits = Uint32Array.of(0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff, 0x7f7fffff, 0xff800001);
  assertEquals(
    [...narrowBfloat16(new Float32Array(bits.buffer))],
    [0x3f80, 0x3f82, 0x3f81, 0x3f80, 0x7f80, 0xffc0],
  );
});

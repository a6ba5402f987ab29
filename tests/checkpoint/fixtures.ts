/**
 * The committed fixtures of tests/fixtures/write_checkpoints.py and what PyTorch says they hold.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { DType, HostTensor, StateDict } from "../../lib/tensor.ts";

const FOLDER = new URL("../fixtures/checkpoints/", import.meta.url);

interface Expected {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly values: readonly (number | string)[];
}

/** Bytes of a committed fixture. */
export function fixture(name: string): Uint8Array<ArrayBuffer> {
  return Deno.readFileSync(new URL(name, FOLDER));
}

const EXPECTED: Readonly<Record<string, Readonly<Record<string, Expected>>>> = JSON.parse(
  new TextDecoder().decode(fixture("expected.json")),
);

/** A tensor's values as the recording has them: 64-bit integers as numbers, infinities and NaN as Python's names. */
function values(tensor: HostTensor): (number | string)[] {
  return Array.from(tensor.data as ArrayLike<number | bigint>, (value) => {
    if (typeof value === "bigint") return Number(value);
    if (Number.isNaN(value)) return "nan";
    return Number.isFinite(value) ? value : value > 0 ? "inf" : "-inf";
  });
}

/** Fails unless `found` is, in order, type, shape and every value, what was recorded for the fixture `name`. */
export function assertRecorded(found: StateDict, name: string): void {
  const expected = EXPECTED[name];
  assertEquals([...found.keys()], Object.keys(expected));
  for (const [key, tensor] of found) {
    const own = { dtype: tensor.dtype, shape: [...tensor.shape], values: values(tensor) };
    assertEquals(own, expected[key] as unknown, `${name}: ${key}`);
  }
}

/** As {@linkcode assertRecorded}, whatever the order. */
export function assertRecordedInAnyOrder(found: StateDict, name: string): void {
  assertEquals([...found.keys()].sort(), Object.keys(EXPECTED[name]).sort());
  assertRecorded(new Map(Object.keys(EXPECTED[name]).map((key) => [key, found.get(key)!])), name);
}

/** A dense tensor for tests. */
export function tensor(dtype: DType, shape: readonly number[], data: HostTensor["data"]): HostTensor {
  return { dtype, shape, data };
}

/** One tensor of every element type. */
export function everyDType(): StateDict {
  return new Map([
    ["z.float32", tensor("float32", [2, 3], Float32Array.of(1, -2.5, 0, Infinity, 1e-40, 3))],
    ["a.uint8", tensor("uint8", [3], Uint8Array.of(0, 128, 255))],
    ["float64", tensor("float64", [2], Float64Array.of(Math.PI, -1e300))],
    ["float16", tensor("float16", [2, 2], Float32Array.of(1.5, -0.25, 65504, 2 ** -24))],
    ["bfloat16", tensor("bfloat16", [1, 2], Float32Array.of(1.5, 2 ** 100))],
    ["int64", tensor("int64", [], BigInt64Array.of(-(2n ** 62n)))],
    ["int32", tensor("int32", [2], Int32Array.of(-(2 ** 31), 7))],
    ["int16", tensor("int16", [2], Int16Array.of(-32768, 32767))],
    ["int8", tensor("int8", [1], Int8Array.of(-128))],
    ["bool", tensor("bool", [3], Uint8Array.of(1, 0, 1))],
    ["empty", tensor("float32", [0, 4], new Float32Array(0))],
    ['名前 "quoted"', tensor("float32", [1], Float32Array.of(9))],
  ]);
}

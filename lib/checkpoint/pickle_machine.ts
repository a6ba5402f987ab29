/**
 * The state of a pickle being read: its bytes, its stacks and its memo, and the few moves that every opcode is made of.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { type Budget, budgetFor } from "./budget.ts";
import type { PickleHooks } from "./pickle_value.ts";

/** A line of a text opcode is never longer than this in an honest file. */
const MAX_LINE = 1 << 16;
/** Digits of an honest integer: storages' keys, sizes and PyTorch's magic number all fit in 64 bytes. */
const MAX_INTEGER_BYTES = 64;
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A pickle being read. Values are `unknown` here; the types of the public door are in `pickle_value.ts`. */
export interface Machine {
  /** Everything that was given, before and behind the pickle too. */
  readonly bytes: Uint8Array;
  /** The same bytes, for integers. */
  readonly view: DataView;
  /** What the format around the pickle adds. */
  readonly hooks: PickleHooks<unknown>;
  /** Values that were kept for later use. */
  readonly memo: Map<number, unknown>;
  /** Pays for containers that are built from others, which a few bytes could otherwise repeat without end. */
  readonly budget: Budget;
  /** Stacks below the marks, outermost first. */
  readonly marked: unknown[][];
  /** Values above the last mark. */
  stack: unknown[];
  /** The next byte. */
  position: number;
  /** Whether the last opcode has been read. */
  stopped: boolean;
}

/** A machine at byte `start` of `bytes`, with nothing on its stack. */
export function createMachine(bytes: Uint8Array, hooks: PickleHooks<unknown>, start: number): Machine {
  return {
    bytes,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    hooks,
    memo: new Map(),
    budget: budgetFor(0),
    marked: [],
    stack: [],
    position: start,
    stopped: false,
  };
}

/** Advance over `length` bytes of argument; the result is where they start. */
export function take(machine: Machine, length: number): number {
  const start = machine.position;
  if (!(length <= machine.bytes.length - start)) {
    throw new FormatError(
      `the pickle needs ${length} bytes at byte ${start}, but ends after ${machine.bytes.length}; ` +
        "download the file again",
    );
  }
  machine.position += length;
  return start;
}

/** The next `length` bytes, a view. */
export function takeBytes(machine: Machine, length: number): Uint8Array {
  const start = take(machine, length);
  return machine.bytes.subarray(start, start + length);
}

/** An unsigned byte. */
export function takeU8(machine: Machine): number {
  return machine.bytes[take(machine, 1)];
}

/** An unsigned 16-bit integer. */
export function takeU16(machine: Machine): number {
  return machine.view.getUint16(take(machine, 2), true);
}

/** A signed 32-bit integer. */
export function takeI32(machine: Machine): number {
  return machine.view.getInt32(take(machine, 4), true);
}

/** An unsigned 32-bit integer. */
export function takeU32(machine: Machine): number {
  return machine.view.getUint32(take(machine, 4), true);
}

/** An unsigned 64-bit length. */
export function takeU64(machine: Machine): number {
  return Number(machine.view.getBigUint64(take(machine, 8), true));
}

/** The text up to the next line feed, which is skipped. */
export function takeLine(machine: Machine): string {
  const { bytes, position } = machine;
  const end = bytes.subarray(position, position + MAX_LINE).indexOf(0x0a);
  if (end < 0) throw new FormatError(`the pickle has a line without an end at byte ${position}`);
  const line = decodeUtf8(bytes.subarray(position, position + end));
  machine.position = position + end + 1;
  return line;
}

/** UTF-8 as text; `FormatError` where it is none. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    throw new FormatError(`the pickle holds ${bytes.length} bytes of text that are not UTF-8`);
  }
}

/** Python 2's byte strings as text, one character a byte. */
export function decodeLatin1(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let i = 0; i < bytes.length; i += 4096) parts.push(String.fromCharCode(...bytes.subarray(i, i + 4096)));
  return parts.join("");
}

/** An integer as a number where that is exact, else as a `bigint`. */
export function simplest(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** A little-endian two's complement integer of `length` bytes. */
export function takeLong(machine: Machine, length: number): number | bigint {
  if (length > MAX_INTEGER_BYTES) throw new FormatError(`the pickle holds an integer of ${length} bytes`);
  const bytes = takeBytes(machine, length);
  let value = 0n;
  for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
  return simplest(BigInt.asIntN(length * 8, value));
}

/** An integer written in digits; Python 2 ends long ones with `L`. */
export function parseInteger(text: string): number | bigint {
  const digits = text.endsWith("L") ? text.slice(0, -1) : text;
  if (!/^\s*[-+]?\d{1,150}\s*$/.test(digits)) {
    throw new FormatError(`the pickle holds "${text.slice(0, 40)}" where an integer is required`);
  }
  return simplest(BigInt(digits.trim().replace(/^\+/, "")));
}

/** Push a value. */
export function push(machine: Machine, value: unknown): void {
  machine.stack.push(value);
}

/** Pop the topmost value above the last mark. */
export function pop(machine: Machine): unknown {
  if (machine.stack.length === 0) {
    throw new FormatError(`the pickle takes a value that it never gave, at byte ${machine.position - 1}`);
  }
  return machine.stack.pop();
}

/** The topmost value above the last mark, which stays. */
export function top(machine: Machine): unknown {
  const value = pop(machine);
  machine.stack.push(value);
  return value;
}

/** Everything above the last mark, which is taken off with it. */
export function popMark(machine: Machine): unknown[] {
  const below = machine.marked.pop();
  if (below === undefined) {
    throw new FormatError(`the pickle closes a group that it never opened, at byte ${machine.position - 1}`);
  }
  const values = machine.stack;
  machine.stack = below;
  return values;
}

/** Keep a value for later use under `index`. */
export function remember(machine: Machine, index: number | bigint): void {
  machine.memo.set(Number(index), top(machine));
}

/** Push the value that was kept under `index`. */
export function recall(machine: Machine, index: number | bigint): void {
  if (!machine.memo.has(Number(index))) {
    throw new FormatError(`the pickle recalls value ${index}, which it never kept, at byte ${machine.position}`);
  }
  push(machine, machine.memo.get(Number(index)));
}

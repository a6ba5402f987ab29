/**
 * What each pickle opcode does to the machine.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { spend } from "./budget.ts";
import {
  decodeLatin1,
  decodeUtf8,
  type Machine,
  parseInteger,
  pop,
  popMark,
  push,
  recall,
  remember,
  takeBytes,
  takeI32,
  takeLine,
  takeLong,
  takeU16,
  takeU32,
  takeU64,
  takeU8,
  top,
} from "./pickle_machine.ts";
import { append, construct, setEntries, setState } from "./pickle_objects.ts";
import { describeValue, isGlobal, type PickleGlobal, type PickleValue } from "./pickle_value.ts";

const NEWEST_PROTOCOL = 5;
const MAX_NAME = 1024;

/** What an opcode does to the machine. */
export type Opcode = (machine: Machine) => void;

function global(module: unknown, name: unknown): PickleGlobal {
  if (typeof module !== "string" || typeof name !== "string") {
    throw new FormatError(`the pickle names ${describeValue(module)}.${describeValue(name)}; two strings are required`);
  }
  if (module.length + name.length > MAX_NAME) {
    throw new FormatError(`the pickle holds a name of ${module.length + name.length} characters`);
  }
  return { kind: "global", name: `${module}.${name}` };
}

function proto(machine: Machine): void {
  const version = takeU8(machine);
  if (version > NEWEST_PROTOCOL) {
    throw new FormatError(`the pickle is of protocol ${version}; 0 to ${NEWEST_PROTOCOL} can be read`);
  }
}

function mark(machine: Machine): void {
  machine.marked.push(machine.stack);
  machine.stack = [];
}

/** Protocol 0 discards a mark with the same opcode as a value. */
function discard(machine: Machine): void {
  if (machine.stack.length === 0) popMark(machine);
  else pop(machine);
}

function persistent(machine: Machine, id: unknown): void {
  const { persistentLoad } = machine.hooks;
  if (persistentLoad === undefined) {
    throw new FormatError("the pickle refers to data outside itself, so it is part of another format");
  }
  push(machine, persistentLoad(id as PickleValue<unknown>));
}

/** A string as protocol 0 writes it: Python's `repr`. */
function unquote(line: string): string {
  const match = /^\s*(["'])(.*)\1\s*$/s.exec(line);
  if (match === null) throw new FormatError(`the pickle holds a string without quotes: ${line.slice(0, 40)}`);
  const named: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r" };
  return match[2].replace(
    /\\(?:x([0-9a-fA-F]{2})|(.))/gs,
    (_, hex, other) => hex === undefined ? named[other] ?? other : String.fromCharCode(parseInt(hex, 16)),
  );
}

/** Text as protocol 0 writes it: `raw-unicode-escape`. */
function unescapeUnicode(line: string): string {
  return line.replace(/\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))/g, (whole, short, long) => {
    const code = parseInt(short ?? long, 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

function integerLine(machine: Machine): void {
  const line = takeLine(machine);
  if (line === "00" || line === "01") push(machine, line === "01");
  else push(machine, parseInteger(line));
}

function floatLine(machine: Machine): void {
  const line = takeLine(machine).trim();
  const named: Readonly<Record<string, number>> = { nan: NaN, inf: Infinity, "-inf": -Infinity };
  const value = named[line] ?? Number(line);
  if (line === "" || (Number.isNaN(value) && line !== "nan")) {
    throw new FormatError(`the pickle holds "${line.slice(0, 40)}" where a number is required`);
  }
  push(machine, value);
}

function binaryFloat(machine: Machine): void {
  const bytes = takeBytes(machine, 8);
  push(machine, new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0, false));
}

function tuple(count: number): Opcode {
  return (machine) => {
    const values = Array.from({ length: count }, () => pop(machine));
    push(machine, values.reverse());
  };
}

function dictionary(machine: Machine): void {
  const values = popMark(machine);
  const made = new Map();
  setEntries(made, values);
  push(machine, made);
}

function call(machine: Machine): void {
  const args = pop(machine);
  push(machine, construct(machine, pop(machine), args));
}

/** `cls.__new__(cls, *args, **kwargs)`: the keywords are kept as the last argument where there are any. */
function callWithKeywords(machine: Machine): void {
  const keywords = pop(machine), args = pop(machine), made = pop(machine);
  const some = keywords instanceof Map && keywords.size > 0 && Array.isArray(args);
  if (some) spend(machine.budget, args.length * 8, "arguments of the pickle");
  push(machine, construct(machine, made, some ? [...args, keywords] : args));
}

function instance(machine: Machine): void {
  const module = takeLine(machine), name = takeLine(machine);
  push(machine, construct(machine, global(module, name), popMark(machine)));
}

function objectOfClass(machine: Machine): void {
  const [made, ...args] = popMark(machine);
  if (!isGlobal(made)) throw new FormatError(`the pickle makes an object of ${describeValue(made ?? null)}`);
  push(machine, construct(machine, made, args));
}

function stackGlobal(machine: Machine): void {
  const name = pop(machine);
  push(machine, global(pop(machine), name));
}

/** Pop what `values` says, then apply it to the container below. */
function toContainer(
  apply: (target: unknown, values: unknown[]) => void,
  values: (machine: Machine) => unknown[],
): Opcode {
  return (machine) => {
    const taken = values(machine);
    apply(top(machine), taken);
  };
}

function one(machine: Machine): unknown[] {
  return [pop(machine)];
}

function pair(machine: Machine): unknown[] {
  const value = pop(machine);
  return [pop(machine), value];
}

function build(machine: Machine): void {
  const state = pop(machine);
  setState(top(machine), state);
}

const TABLE: readonly (readonly [number | string, Opcode])[] = [
  [0x80, proto],
  [0x95, (m) => void takeU64(m)],
  [".", (m) => void (m.stopped = true)],
  ["(", mark],
  ["0", discard],
  ["1", (m) => void popMark(m)],
  ["2", (m) => push(m, top(m))],
  // Plain values.
  ["N", (m) => push(m, null)],
  [0x88, (m) => push(m, true)],
  [0x89, (m) => push(m, false)],
  ["I", integerLine],
  ["L", (m) => push(m, parseInteger(takeLine(m)))],
  ["J", (m) => push(m, takeI32(m))],
  ["K", (m) => push(m, takeU8(m))],
  ["M", (m) => push(m, takeU16(m))],
  [0x8a, (m) => push(m, takeLong(m, takeU8(m)))],
  [0x8b, (m) => push(m, takeLong(m, takeU32(m)))],
  ["F", floatLine],
  ["G", binaryFloat],
  ["S", (m) => push(m, unquote(takeLine(m)))],
  ["T", (m) => push(m, decodeLatin1(takeBytes(m, takeU32(m))))],
  ["U", (m) => push(m, decodeLatin1(takeBytes(m, takeU8(m))))],
  ["V", (m) => push(m, unescapeUnicode(takeLine(m)))],
  ["X", (m) => push(m, decodeUtf8(takeBytes(m, takeU32(m))))],
  [0x8c, (m) => push(m, decodeUtf8(takeBytes(m, takeU8(m))))],
  [0x8d, (m) => push(m, decodeUtf8(takeBytes(m, takeU64(m))))],
  ["B", (m) => push(m, takeBytes(m, takeU32(m)))],
  ["C", (m) => push(m, takeBytes(m, takeU8(m)))],
  [0x8e, (m) => push(m, takeBytes(m, takeU64(m)))],
  [0x96, (m) => push(m, takeBytes(m, takeU64(m)))],
  // Containers.
  ["]", (m) => push(m, [])],
  ["l", (m) => push(m, popMark(m))],
  ["a", toContainer(append, one)],
  ["e", toContainer(append, popMark)],
  [")", (m) => push(m, [])],
  ["t", (m) => push(m, popMark(m))],
  [0x85, tuple(1)],
  [0x86, tuple(2)],
  [0x87, tuple(3)],
  ["}", (m) => push(m, new Map())],
  ["d", dictionary],
  ["s", toContainer(setEntries, pair)],
  ["u", toContainer(setEntries, popMark)],
  [0x8f, (m) => push(m, new Set())],
  [0x90, toContainer(append, popMark)],
  [0x91, (m) => push(m, new Set(popMark(m)))],
  // The memo.
  ["p", (m) => remember(m, parseInteger(takeLine(m)))],
  ["q", (m) => remember(m, takeU8(m))],
  ["r", (m) => remember(m, takeU32(m))],
  [0x94, (m) => remember(m, m.memo.size)],
  ["g", (m) => recall(m, parseInteger(takeLine(m)))],
  ["h", (m) => recall(m, takeU8(m))],
  ["j", (m) => recall(m, takeU32(m))],
  // Names, objects and data outside the pickle.
  ["c", (m) => push(m, global(takeLine(m), takeLine(m)))],
  [0x93, stackGlobal],
  ["R", call],
  [0x81, call],
  [0x92, callWithKeywords],
  ["i", instance],
  ["o", objectOfClass],
  ["b", build],
  ["P", (m) => persistent(m, takeLine(m))],
  ["Q", (m) => persistent(m, pop(m))],
];

/** What each opcode does, by its byte; `undefined` where a byte is no opcode that a checkpoint may hold. */
export const OPCODES: readonly (Opcode | undefined)[] = (() => {
  const opcodes: (Opcode | undefined)[] = new Array(256).fill(undefined);
  for (const [code, opcode] of TABLE) opcodes[typeof code === "string" ? code.charCodeAt(0) : code] = opcode;
  return opcodes;
})();

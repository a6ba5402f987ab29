/**
 * Objects of a pickle: what becomes of a class or function that it calls, of appended items, entries and state.
 *
 * Python's own containers become ours; whatever else is called becomes an inert record.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { type Budget, spend } from "./budget.ts";
import type { Machine } from "./pickle_machine.ts";
import { describeValue, isGlobal, isRecord, type PickleRecord, type PickleValue } from "./pickle_value.ts";

/** What an element of a copied container costs, about. */
const ELEMENT_COST = 64;

type Value = PickleValue<unknown>;
type Builtin = (args: readonly Value[], budget: Budget) => Value | undefined;

function makeRecord(global: string, args: readonly Value[]): PickleRecord<unknown> {
  return { kind: "record", global, args, state: null, items: null, entries: null };
}

function orderedDict(args: readonly Value[], budget: Budget): Value | undefined {
  const [pairs] = args;
  if (args.length === 0) return new Map();
  if (args.length !== 1 || !(Array.isArray(pairs) || pairs instanceof Map)) return undefined;
  const entries = pairs instanceof Map ? [...pairs] : pairs;
  spend(budget, entries.length * ELEMENT_COST, "a dictionary of the pickle");
  if (!entries.every((pair) => Array.isArray(pair) && pair.length === 2)) return undefined;
  return new Map(entries as [Value, Value][]);
}

function makeSet(args: readonly Value[], budget: Budget): Value | undefined {
  const [items] = args;
  if (args.length === 0) return new Set();
  if (args.length !== 1 || !Array.isArray(items)) return undefined;
  spend(budget, items.length * ELEMENT_COST, "a set of the pickle");
  return new Set(items);
}

/** Protocol 2 writes bytes as `_codecs.encode(text, "latin1")`. */
function encode(args: readonly Value[], budget: Budget): Value | undefined {
  const [text, codec] = args;
  if (typeof text !== "string" || (codec !== "latin1" && codec !== "latin-1")) return undefined;
  spend(budget, text.length, "bytes of the pickle");
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** `copyreg._reconstructor(class, base, state)`: how protocols 0 and 1 make an object. */
function reconstruct(args: readonly Value[]): Value | undefined {
  const [made] = args;
  return isGlobal(made) ? makeRecord(made.name, args.slice(1)) : undefined;
}

const BUILTINS: ReadonlyMap<string, Builtin> = new Map<string, Builtin>([
  ["collections.OrderedDict", orderedDict],
  ["collections.defaultdict", (args, budget) => args.length <= 1 ? new Map() : orderedDict(args.slice(1), budget)],
  ["builtins.dict", orderedDict],
  ["__builtin__.dict", orderedDict],
  ["builtins.set", makeSet],
  ["__builtin__.set", makeSet],
  ["builtins.frozenset", makeSet],
  ["__builtin__.frozenset", makeSet],
  ["_codecs.encode", encode],
  ["copyreg._reconstructor", reconstruct],
  ["copy_reg._reconstructor", reconstruct],
]);

function nameOf(callable: Value): string {
  if (isGlobal(callable)) return callable.name;
  if (isRecord(callable)) return `${callable.global}()`.slice(0, 200);
  throw new FormatError(`the pickle calls ${describeValue(callable)}; only classes and functions can be called`);
}

/** What `callable(*args)` makes: ours where we know it, else an inert record. Nothing is ever executed. */
export function construct(machine: Machine, callable: unknown, args: unknown): unknown {
  if (!Array.isArray(args)) {
    throw new FormatError(`the pickle gives ${describeValue(args)} as arguments; a tuple is required`);
  }
  const name = nameOf(callable as Value);
  return machine.hooks.construct?.(name, args) ?? BUILTINS.get(name)?.(args, machine.budget) ?? makeRecord(name, args);
}

/** Append values to a list, a set or an object. */
export function append(target: unknown, values: readonly unknown[]): void {
  if (target instanceof Set) {
    for (const value of values) target.add(value);
    return;
  }
  let list: unknown;
  if (Array.isArray(target)) list = target;
  else if (isRecord(target)) list = target.items ??= [];
  if (!Array.isArray(list)) throw new FormatError(`the pickle appends to ${describeValue(target)}`);
  for (const value of values) list.push(value);
}

/** Set entries, keys and values in turn, in a dictionary or an object. */
export function setEntries(target: unknown, values: readonly unknown[]): void {
  let entries: unknown;
  if (target instanceof Map) entries = target;
  else if (isRecord(target)) entries = target.entries ??= new Map();
  if (!(entries instanceof Map)) throw new FormatError(`the pickle sets entries of ${describeValue(target)}`);
  if (values.length % 2 !== 0) throw new FormatError("the pickle gives a dictionary a key without a value");
  for (let i = 0; i < values.length; i += 2) entries.set(values[i], values[i + 1]);
}

/** Give an object its state. Containers and tensors have no state that we keep: `_metadata` of a state dictionary. */
export function setState(target: unknown, state: unknown): void {
  if (isRecord(target)) target.state = state as Value;
}

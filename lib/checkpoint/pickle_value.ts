/**
 * What a pickle can hold, without Python: plain values, containers, and inert records of everything else.
 *
 * @module
 */

/** A class or function that the pickle names. It is a name and nothing more: nothing is imported or called. */
export interface PickleGlobal {
  /** Tells a name from a record. */
  readonly kind: "global";
  /** Module and qualified name, joined by a dot: `os.system`. */
  readonly name: string;
}

/** What calling a global would have made: the name and everything that the pickle gave it. */
export interface PickleRecord<X = never> {
  /** Tells a record from a name. */
  readonly kind: "record";
  /** Module and qualified name of the class or function, joined by a dot. */
  readonly global: string;
  /** Arguments of the constructor. */
  readonly args: readonly PickleValue<X>[];
  /** The object's state, often a `Map` of its attributes; null where there is none. */
  state: PickleValue<X>;
  /** Elements appended to it, where it is a list. */
  items: PickleValue<X>[] | null;
  /** Entries set in it, where it is a dictionary. */
  entries: Map<PickleValue<X>, PickleValue<X>> | null;
}

/**
 * A value of a pickle. Integers past 2^53 are `bigint`; lists and tuples are arrays; dictionaries keep their order; `X`
 * is what the reader's own hooks make.
 */
export type PickleValue<X = never> =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue<X>[]
  | Map<PickleValue<X>, PickleValue<X>>
  | Set<PickleValue<X>>
  | PickleGlobal
  | PickleRecord<X>
  | X;

/** What a reader adds to the pickle format. */
export interface PickleHooks<X> {
  /** The value of a persistent id; without this hook a persistent id is a `FormatError`. */
  persistentLoad?(id: PickleValue<X>): PickleValue<X>;
  /** What calling `global` with `args` makes; `undefined` leaves an inert record. */
  construct?(global: string, args: readonly PickleValue<X>[]): PickleValue<X> | undefined;
}

function hasKind(value: unknown, kind: string): boolean {
  return typeof value === "object" && value !== null && (value as { kind?: unknown }).kind === kind;
}

/** Whether a value is the bare name of a class or function. */
export function isGlobal(value: unknown): value is PickleGlobal {
  return hasKind(value, "global");
}

/** Whether a value is an object of a class that the reader does not know. */
export function isRecord<X>(value: PickleValue<X>): value is PickleRecord<X> {
  return hasKind(value, "record");
}

/** A short description of a value for an error's message. */
export function describeValue(value: unknown): string {
  if (value === null) return "None";
  if (value instanceof Map) return `a dictionary of ${value.size}`;
  if (value instanceof Set) return `a set of ${value.size}`;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (isGlobal(value)) return `the name ${value.name}`;
  if (hasKind(value, "record")) return `an object of class ${(value as PickleRecord).global}`;
  if (typeof value === "object") return "an object";
  return `${typeof value} ${String(value).slice(0, 40)}`;
}

/**
 * Pickles, protocols 0 to 5, read without executing anything.
 *
 * A pickle is a program for a stack machine that can name any function of Python and have it called. This machine has
 * no functions to call: an unknown name becomes a {@linkcode PickleGlobal}, a call to it an inert
 * {@linkcode PickleRecord}. Work and memory are bounded by the length of the input.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { createMachine, type Machine } from "./pickle_machine.ts";
import { OPCODES } from "./pickle_opcodes.ts";
import { describeValue, type PickleHooks, type PickleValue } from "./pickle_value.ts";

export type { PickleGlobal, PickleHooks, PickleRecord, PickleValue } from "./pickle_value.ts";
export { describeValue, isGlobal, isRecord } from "./pickle_value.ts";

/**
 * More than any checkpoint needs (a ResNet takes about 20 a tensor), and few enough to stay far from the heap's end.
 */
const MAX_OPCODES = 1 << 22;
const MAX_NESTED_MARKS = 1 << 12;

/** A value and where its pickle ended. */
export interface PickleResult<X> {
  /** What the pickle holds. */
  readonly value: PickleValue<X>;
  /** The byte after the pickle's last. */
  readonly end: number;
}

function step(machine: Machine): void {
  if (machine.position >= machine.bytes.length) {
    throw new FormatError(
      `the pickle ends after ${machine.bytes.length} bytes without its last opcode; download the file again`,
    );
  }
  const at = machine.position++;
  const opcode = OPCODES[machine.bytes[at]];
  if (opcode === undefined) {
    throw new FormatError(`byte ${at} of the pickle is 0x${machine.bytes[at].toString(16)}, which is no opcode`);
  }
  opcode(machine);
}

/**
 * Read the pickle at byte `start` of `bytes`. Throws `FormatError` on bytes that are no pickle, are cut short, or ask
 * for more work than a checkpoint needs.
 */
export function readPickle<X = never>(bytes: Uint8Array, hooks: PickleHooks<X> = {}, start = 0): PickleResult<X> {
  const machine = createMachine(bytes, hooks as PickleHooks<unknown>, start);
  for (let count = 0; !machine.stopped; count++) {
    if (count >= MAX_OPCODES || machine.marked.length > MAX_NESTED_MARKS) {
      throw new FormatError(
        `the pickle is more than ${MAX_OPCODES} opcodes long or nested ${MAX_NESTED_MARKS} deep, ` +
          "which no checkpoint is",
      );
    }
    step(machine);
  }
  if (machine.stack.length !== 1 || machine.marked.length !== 0) {
    throw new FormatError(
      `the pickle leaves ${machine.stack.length} values and ${machine.marked.length} open groups (the last is ` +
        `${describeValue(machine.stack.at(-1) ?? null)}); one value is required`,
    );
  }
  return { value: machine.stack[0] as PickleValue<X>, end: machine.position };
}

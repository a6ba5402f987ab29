/**
 * How much memory the bytes of a file may ask for: what keeps a small hostile file from filling the machine.
 *
 * @module
 */

import { FormatError } from "../errors.ts";

const FREE_BYTES = 64 * 2 ** 20;
const BYTES_PER_FILE_BYTE = 8;

/** Memory that reading one file may still allocate. */
export interface Budget {
  /** Bytes left. */
  left: number;
}

/** The budget of a file of `fileBytes` bytes: 64 MiB and eight times the file. Views of the file cost nothing. */
export function budgetFor(fileBytes: number): Budget {
  return { left: FREE_BYTES + BYTES_PER_FILE_BYTE * fileBytes };
}

/** Take `bytes` from the budget before `what` is allocated; throws `FormatError` where it does not suffice. */
export function spend(budget: Budget, bytes: number, what: string): void {
  if (!(bytes <= budget.left)) {
    throw new FormatError(
      `${what} asks for ${bytes} bytes, which is more than a file of this size may (${budget.left} bytes are left)`,
    );
  }
  budget.left -= bytes;
}

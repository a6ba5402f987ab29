/**
 * Results as tables: Markdown for people, plain objects for machines.
 *
 * @module
 */

import type { Spread } from "./statistics.ts";

/** A value of a table; a spread is shown as its median and quartiles. */
export type Cell = string | number | Spread | undefined;

/** Rows of values under names. */
export interface Table {
  readonly title: string;
  /** What was measured and how it was validated. */
  readonly note: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

/** Whole numbers as they are, others with three significant digits, without an exponent where it can be helped. */
function digits(value: number): string {
  if (!Number.isFinite(value) || Number.isInteger(value)) return String(value);
  const magnitude = Math.abs(value);
  if (magnitude >= 100 && magnitude < 1e7) return value.toFixed(0);
  return magnitude >= 1e-3 ? value.toPrecision(3) : value.toExponential(1);
}

function cellText(cell: Cell): string {
  if (cell === undefined) return "";
  if (typeof cell === "string") return cell.replaceAll("|", "/").replaceAll("\n", " ");
  if (typeof cell === "number") return digits(cell);
  return `${digits(cell.median)} (${digits(cell.lower)}-${digits(cell.upper)})`;
}

/** A table as Markdown. */
export function markdownOf({ title, note, columns, rows }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    `## ${title}`,
    "",
    note,
    "",
    line(columns),
    `|${columns.map(() => "---").join("|")}|`,
    ...rows.map((row) => line(row.map(cellText))),
  ].join("\n");
}

/** A table as an object: each row by the names of its columns. */
export function objectOf({ title, columns, rows }: Table): Record<string, unknown> {
  return { title, rows: rows.map((row) => Object.fromEntries(columns.map((column, i) => [column, row[i]]))) };
}

/**
 * One HTML page that compares several methods: a table, reliability diagrams, curves, notes and the configuration.
 *
 * The page is whole in itself: no script, no font, no image, no network (its own policy forbids them).
 *
 * @module
 */

import { expectedCalibrationError, type ReliabilityBin } from "./calibration.ts";
import { type Curve, lineChart } from "./line_chart.ts";
import { type Content, Markup, markup } from "./markup.ts";
import { reliabilityChart } from "./reliability_chart.ts";
import { REPORT_STYLE } from "./report_style.ts";
import { formatNumber, seriesClass } from "./svg.ts";

/** A cell of a report's table: text, a number, or a mean and standard deviation over repetitions. */
export type ReportCell = string | number | { readonly mean: number; readonly std: number };

/** A column of a report's table; a string is a column of that name. */
export interface ReportColumn {
  /** Heading. */
  readonly name: string;
  /** Digits after the point of its numbers; default 3, but none for a column of whole numbers. */
  readonly digits?: number;
  /** Which of its values is the best one, which is then set in bold. */
  readonly best?: "highest" | "lowest";
}

/** The reliability diagram of one method. */
export interface ReportReliability {
  /** The method. */
  readonly name: string;
  /** Its bins, from `reliability()`. */
  readonly bins: readonly ReliabilityBin[];
}

/** What {@linkcode renderReport} shows; empty parts are left out. */
export interface Report {
  /** Heading of the page. */
  readonly title: string;
  /** One or two sentences under it. */
  readonly subtitle: string;
  /** One row for each method, its name first. */
  readonly table: { readonly columns: readonly (string | ReportColumn)[]; readonly rows: readonly ReportCell[][] };
  /** Reliability diagrams. */
  readonly reliability: readonly ReportReliability[];
  /** Line charts with error bands. */
  readonly curves: readonly Curve[];
  /** Remarks, one paragraph each. */
  readonly notes: readonly string[];
  /** Everything needed to repeat the runs: any value that JSON can hold. */
  readonly config: object;
}

/**
 * A report as the text of an HTML file. A method has the same colour wherever its name appears; all text is escaped.
 *
 * @throws TypeError where a row of the table has more or fewer cells than there are columns
 * @throws RangeError where a point does not fit a logarithmic axis
 */
export function renderReport(report: Report): string {
  const styleOf = stylesByName(report);
  const parts = [
    results(report, styleOf),
    calibration(report.reliability, styleOf),
    curves(report, styleOf),
    section(
      "Notes",
      report.notes,
      markup`<ul class="notes">${report.notes.map((note) => markup`<li>${note}</li>`)}</ul>`,
    ),
    configuration(report.config),
  ];
  return markup`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${report.title}</title>
<style>${new Markup(REPORT_STYLE)}</style>
</head>
<body>
<header>
<h1>${report.title}</h1>
${report.subtitle === "" ? undefined : markup`<p class="subtitle">${report.subtitle}</p>`}
</header>
<main>
${parts}</main>
</body>
</html>
`.text;
}

/** Colours in the order in which methods first appear: in the table, the diagrams, the curves. */
function stylesByName({ table, reliability, curves }: Report): (name: string) => number {
  const charted = new Set([
    ...reliability.map(({ name }) => name),
    ...curves.flatMap(({ series }) => series.map(({ name }) => name)),
  ]);
  const tabled = table.rows.map(([name]) => name).filter((name) => typeof name === "string" && charted.has(name));
  const styles = new Map([...new Set([...tabled, ...charted])].map((name, i) => [name, i]));
  return (name) => styles.get(name) ?? -1;
}

function section(title: string, items: readonly unknown[], content: Content): Markup | undefined {
  if (items.length === 0) return undefined;
  return markup`<section>
<h2>${title}</h2>
${content}
</section>
`;
}

function results({ table }: Report, styleOf: (name: string) => number): Markup | undefined {
  const columns = table.columns.map((column): ReportColumn => typeof column === "string" ? { name: column } : column);
  for (const row of table.rows) {
    if (row.length !== columns.length) {
      throw new TypeError(`Cannot set a row of ${row.length} cells in a table of ${columns.length} columns`);
    }
  }
  const digits = columns.map((column, c) => column.digits ?? digitsOf(table.rows.map((row) => row[c])));
  const best = columns.map((column, c) => bestOf(column, table.rows.map((row) => row[c]), digits[c]));
  const caption = [
    table.rows.some((row) => row.some((cell) => typeof cell === "object")) ? "Mean ± standard deviation." : "",
    best.some((text) => text !== undefined) ? "Bold: the best mean of its column." : "",
  ].filter((text) => text !== "").join(" ");
  return section(
    "Results",
    table.rows,
    markup`<div class="scroll"><table class="results">
${caption === "" ? undefined : markup`<caption>${caption}</caption>`}
<thead><tr>${columns.map(({ name }) => markup`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>
${
      table.rows.map((row) =>
        markup`<tr>${
          row.map((cell, c) =>
            c === 0 ? heading(cell, styleOf, digits[c]) : markup`<td>${content(cell, digits[c], best[c])}</td>`
          )
        }</tr>
`
      )
    }</tbody>
</table></div>`,
  );
}

function heading(cell: ReportCell, styleOf: (name: string) => number, digits: number): Markup {
  const style = typeof cell === "string" ? styleOf(cell) : -1;
  const swatch = style < 0 ? undefined : markup`<span class="swatch ${seriesClass(style)}"></span>`;
  return markup`<th scope="row">${swatch}${content(cell, digits)}</th>`;
}

function content(cell: ReportCell, digits: number, best?: string): Content {
  if (typeof cell === "string") return cell;
  const mean = formatNumber(meanOf(cell), digits);
  const text = mean === best ? markup`<span class="best">${mean}</span>` : mean;
  if (typeof cell === "number") return text;
  return markup`${text}<span class="deviation"> ± ${formatNumber(cell.std, digits)}</span>`;
}

function meanOf(cell: ReportCell): number {
  return typeof cell === "number" ? cell : typeof cell === "string" ? NaN : cell.mean;
}

function digitsOf(cells: readonly ReportCell[]): number {
  return cells.every((cell) => typeof cell === "string" || Number.isInteger(cell)) ? 0 : 3;
}

/** The best value of a column as it is printed, so that values which print alike are alike in bold. */
function bestOf({ best }: ReportColumn, cells: readonly ReportCell[], digits: number): string | undefined {
  const values = cells.map(meanOf).filter((value) => !Number.isNaN(value));
  if (best === undefined || values.length < 2) return undefined;
  return formatNumber(best === "highest" ? Math.max(...values) : Math.min(...values), digits);
}

function calibration(panels: readonly ReportReliability[], styleOf: (name: string) => number): Markup | undefined {
  return section(
    "Calibration",
    panels,
    markup`<figure class="calibration">
<figcaption><b>How far a stated confidence can be trusted.</b> Predictions by the confidence of their most probable
class. <span class="key accuracy"></span> accuracy in the bin; <span class="key difference"></span> its distance from
the bin’s mean confidence; <span class="key perfect"></span> perfect calibration.
Below: number of predictions in each bin.
ECE is the mean of the hatched distances, weighted by these numbers.</figcaption>
<div class="panels">
${
      panels.map(({ name, bins }, i) =>
        markup`<div class="panel"><h3>${name}<small>ECE ${formatNumber(expectedCalibrationError(bins), 3)}</small></h3>
${reliabilityChart(`reliability-${i}`, name, bins, styleOf(name))}</div>
`
      )
    }</div>
</figure>`,
  );
}

function curves(report: Report, styleOf: (name: string) => number): Markup | undefined {
  return section(
    "Curves",
    report.curves,
    report.curves.map((curve, i) =>
      markup`<figure class="curve"><figcaption><b>${curve.title}.</b>${
        curve.series.some(({ points }) => points.some(({ std }) => std > 0)) ? " Band: ± one standard deviation." : ""
      }</figcaption>
${lineChart(`curve-${i}`, curve, styleOf)}</figure>
`
    ),
  );
}

function configuration(config: object): Markup | undefined {
  const settings = flatten(config, "");
  return section(
    "Configuration",
    settings,
    markup`<table class="config"><tbody>
${
      settings.map(([key, value]) =>
        markup`<tr><th scope="row">${key}</th><td>${value}</td></tr>
`
      )
    }</tbody></table>`,
  );
}

/** Nested settings by dotted keys. */
function flatten(value: unknown, key: string): [string, string][] {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return Object.entries(value).flatMap(([name, inner]) => flatten(inner, key === "" ? name : `${key}.${name}`));
  }
  if (value === undefined) return [];
  return [[key, typeof value === "string" ? value : JSON.stringify(value) ?? String(value)]];
}

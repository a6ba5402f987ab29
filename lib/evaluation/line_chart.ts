/**
 * Line charts with error bands, each line named at its end.
 *
 * @module
 */

import { type Content, type Markup, markup } from "./markup.ts";
import {
  drawing,
  formatNumber,
  linearScale,
  linearTicks,
  logScale,
  logTicks,
  mark,
  type Scale,
  seriesClass,
  type Tick,
} from "./svg.ts";

/** A value and its spread at one place. */
export interface CurvePoint {
  /** Place on the horizontal axis. */
  readonly x: number;
  /** Mean over repetitions. */
  readonly mean: number;
  /** Standard deviation over repetitions; 0 where there was one. */
  readonly std: number;
}

/** Curves of several methods over one quantity. */
export interface Curve {
  /** Caption of the chart. */
  readonly title: string;
  /** What the horizontal axis measures. */
  readonly xLabel: string;
  /** What the vertical axis measures. */
  readonly yLabel: string;
  /** Whether the horizontal axis is logarithmic; then every x must be positive. */
  readonly xLog: boolean;
  /** The curves; points whose x or mean is not finite are left out. */
  readonly series: readonly { readonly name: string; readonly points: readonly CurvePoint[] }[];
}

interface Line {
  readonly name: string;
  readonly style: number;
  readonly points: CurvePoint[];
}

const WIDTH = 760, HEIGHT = 360;
const LEFT = 58, TOP = 12, BOTTOM = HEIGHT - 46;
const LABEL_HEIGHT = 16, LONGEST_LABEL = 32, CHARACTER = 6.6;
const MOST_MARKS = 16;

/**
 * A line chart as an SVG element.
 *
 * @param id unique on the page
 * @param styleOf number of a method's colour, by its name
 * @throws RangeError where a point does not fit a logarithmic axis
 */
export function lineChart(id: string, curve: Curve, styleOf: (name: string) => number): Markup {
  const lines = curve.series.map(({ name, points }): Line => ({
    name,
    style: styleOf(name),
    points: points.filter(({ x, mean }) => Number.isFinite(x) && Number.isFinite(mean)).toSorted((a, b) => a.x - b.x),
  })).filter(({ points }) => points.length > 0);
  if (lines.length === 0) return markup`<p class="empty">No points.</p>`;
  const right = WIDTH - 30 - CHARACTER * Math.max(...lines.map(({ name }) => shortened(name).length));
  const { x, ticks: xTicks } = horizontal(curve, lines, right);
  const { y, ticks: yTicks } = vertical(lines);
  return drawing(
    { id, width: WIDTH, height: HEIGHT, title: curve.title, description: describe(curve, lines) },
    [
      yTicks.map(({ value, label }) =>
        markup`<line class="grid" x1="${LEFT}" x2="${right}" y1="${y(value)}" y2="${y(value)}"/>
<text class="tick end" x="${LEFT - 8}" y="${y(value) + 4}">${label}</text>
`
      ),
      markup`<line class="axis" x1="${LEFT}" x2="${right}" y1="${BOTTOM}" y2="${BOTTOM}"/>
`,
      xTicks.map(({ value, label }) =>
        markup`<line class="axis" x1="${x(value)}" x2="${x(value)}" y1="${BOTTOM}" y2="${BOTTOM + 4}"/>
<text class="tick middle" x="${x(value)}" y="${BOTTOM + 18}">${label}</text>
`
      ),
      markup`<text class="label middle" x="${(LEFT + right) / 2}" y="${HEIGHT - 6}">${curve.xLabel}</text>
<text class="label middle" transform="translate(13 ${(TOP + BOTTOM) / 2}) rotate(-90)">${curve.yLabel}</text>
`,
      lines.map((line) => band(line, x, y)),
      lines.map((line) => stroke(line, x, y)),
      names(lines, y, right),
    ],
  );
}

function horizontal(curve: Curve, lines: readonly Line[], right: number): { x: Scale; ticks: Tick[] } {
  const values = [...new Set(lines.flatMap(({ points }) => points.map(({ x }) => x)))].sort((a, b) => a - b);
  if (curve.xLog && values[0] <= 0) {
    throw new RangeError(`Cannot draw "${curve.title}" on a logarithmic axis: a point has x = ${values[0]}`);
  }
  let from = values[0], to = values[values.length - 1];
  if (from === to) [from, to] = curve.xLog ? [from / 2, to * 2] : [from - 1, to + 1];
  const x = (curve.xLog ? logScale : linearScale)(from, to, LEFT + 10, right - 10);
  return { x, ticks: dataTicks(values, x) ?? (curve.xLog ? logTicks(from, to) : linearTicks(from, to, 6)) };
}

/** Where few enough values were measured, they are the best ticks. */
function dataTicks(values: readonly number[], x: Scale): Tick[] | undefined {
  const ticks = values.map((value) => ({ value, label: formatNumber(value) }));
  const fit = ticks.every(({ value, label }, i) => {
    if (i === 0) return true;
    const room = (label.length + ticks[i - 1].label.length) / 2 * CHARACTER + 8;
    return x(value) - x(ticks[i - 1].value) >= room;
  });
  return ticks.length <= 10 && fit ? ticks : undefined;
}

function vertical(lines: readonly Line[]): { y: Scale; ticks: Tick[] } {
  const points = lines.flatMap(({ points }) => points);
  let low = Math.min(...points.map((point) => point.mean - spread(point)));
  let high = Math.max(...points.map((point) => point.mean + spread(point)));
  if (low === high) [low, high] = [low - (Math.abs(low) || 1) / 10, high + (Math.abs(high) || 1) / 10];
  // Out to the ticks around the data, so that the top and the bottom of the axis have numbers.
  const [first, second] = linearTicks(low - (high - low), high + (high - low), 18);
  const step = second.value - first.value;
  const from = Math.floor(low / step + 1e-9) * step, to = Math.ceil(high / step - 1e-9) * step;
  return { y: linearScale(from, to, BOTTOM, TOP), ticks: linearTicks(from, to, Math.round((to - from) / step)) };
}

/** The standard deviation, 0 where it is unknown. */
function spread({ std }: CurvePoint): number {
  return Number.isFinite(std) ? std : 0;
}

function band({ style, points }: Line, x: Scale, y: Scale): Markup | undefined {
  if (points.every((point) => spread(point) === 0)) return undefined;
  if (points.length === 1) {
    const [point] = points, at = x(point.x), deviation = spread(point);
    return markup`<line class="line ${seriesClass(style)}" x1="${at}" x2="${at}" y1="${
      y(point.mean - deviation)
    }" y2="${y(point.mean + deviation)}"/>
`;
  }
  const upper = points.map((point) => `${x(point.x).toFixed(2)},${y(point.mean + spread(point)).toFixed(2)}`);
  const lower = points.map((point) => `${x(point.x).toFixed(2)},${y(point.mean - spread(point)).toFixed(2)}`);
  return markup`<polygon class="band ${seriesClass(style)}" points="${[...upper, ...lower.reverse()].join(" ")}"/>
`;
}

function stroke({ name, style, points }: Line, x: Scale, y: Scale): Markup {
  const path = points.map((point) => `${x(point.x).toFixed(2)},${y(point.mean).toFixed(2)}`).join(" ");
  const marked = points.length <= MOST_MARKS ? points : points.slice(-1);
  return markup`<g class="${seriesClass(style)}"><polyline class="line" points="${path}"/>
${marked.map((point) => mark(style, x(point.x), y(point.mean), `${name}: ${phrase(point)}`))}</g>
`;
}

/** The lines' names beside their ends, moved apart where they would overlap, each behind its line's mark. */
function names(lines: readonly Line[], y: Scale, right: number): Content {
  const sorted = lines.map((line) => ({ line, at: y(line.points[line.points.length - 1].mean) }))
    .sort((a, b) => a.at - b.at);
  let floor = TOP + 4;
  const placed = sorted.map(({ line, at }) => {
    const place = Math.max(at, floor);
    floor = place + LABEL_HEIGHT;
    return { line, at: place };
  });
  let ceiling = BOTTOM;
  for (const label of placed.toReversed()) {
    label.at = Math.min(label.at, ceiling);
    ceiling = label.at - LABEL_HEIGHT;
  }
  return placed.map(({ line, at }) =>
    markup`<g class="${seriesClass(line.style)}">${mark(line.style, right + 10, at)}<text class="name" x="${
      right + 20
    }" y="${at + 4}">${shortened(line.name)}</text></g>
`
  );
}

function shortened(name: string): string {
  return name.length <= LONGEST_LABEL ? name : `${name.slice(0, LONGEST_LABEL - 1)}…`;
}

function describe({ xLabel, yLabel }: Curve, lines: readonly Line[]): string {
  const each = lines.map(({ name, points }) => `${name}: ${points.map(phrase).join("; ")}.`);
  return `${yLabel} against ${xLabel}, mean and standard deviation. ${each.join(" ")}`;
}

function phrase(point: CurvePoint): string {
  const deviation = spread(point) === 0 ? "" : ` ± ${formatNumber(point.std, 4)}`;
  return `${formatNumber(point.mean, 4)}${deviation} at ${formatNumber(point.x)}`;
}

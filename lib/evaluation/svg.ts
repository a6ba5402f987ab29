/**
 * Axes for hand-drawn SVG charts. Colours and type are classes, which the page's style sheet sets for light and dark.
 *
 * @module
 */

import { type Content, type Markup, markup } from "./markup.ts";

/** From a value to a coordinate, in pixels. */
export type Scale = (value: number) => number;

/** A place on an axis, and what stands there. */
export interface Tick {
  /** Value on the axis. */
  readonly value: number;
  /** Its label. */
  readonly label: string;
}

/** Number of different colours and marks; further series start over. */
export const SERIES_STYLES = 8;

/** A linear scale from [`from`, `to`] to pixels [`start`, `end`]. */
export function linearScale(from: number, to: number, start: number, end: number): Scale {
  return (value) => start + (value - from) / (to - from) * (end - start);
}

/** A logarithmic scale from [`from`, `to`], both positive, to pixels [`start`, `end`]. */
export function logScale(from: number, to: number, start: number, end: number): Scale {
  const linear = linearScale(Math.log(from), Math.log(to), start, end);
  return (value) => linear(Math.log(value));
}

/** About `count` round values that lie on [from, to], 1, 2 or 5 times a power of ten apart. */
export function linearTicks(from: number, to: number, count: number): Tick[] {
  const rough = (to - from) / count;
  const power = Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((candidate) => candidate * 10 ** power >= rough * 0.999) ?? 10;
  const step = factor * 10 ** power;
  const decimals = Math.min(Math.max(0, -power - (factor === 10 ? 1 : 0)), 20);
  const ticks: Tick[] = [];
  for (let i = Math.ceil(from / step - 1e-9); i * step <= to + step * 1e-9; i++) {
    ticks.push({ value: i * step, label: formatNumber(i * step, decimals) });
  }
  return ticks;
}

/** Powers of ten on [from, to], with 2 and 5 times them where the axis spans less than three decades. */
export function logTicks(from: number, to: number): Tick[] {
  const factors = to / from < 1000 ? [1, 2, 5] : [1];
  const ticks: Tick[] = [];
  for (let power = Math.floor(Math.log10(from)); 10 ** power <= to; power++) {
    for (const factor of factors) {
      const value = factor * 10 ** power;
      if (value >= from * 0.999999 && value <= to * 1.000001) ticks.push({ value, label: formatNumber(value) });
    }
  }
  return ticks;
}

/**
 * A number as text: with `decimals` digits after the point, or as many as it needs; a true minus sign, a thin space
 * between thousands from 10 000 on, powers of ten beyond 10⁶ and below 10⁻⁴.
 */
export function formatNumber(value: number, decimals?: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "–" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const tiny = size !== 0 && size < 1e-4 && (decimals === undefined || size < 0.5 * 10 ** -decimals);
  if (size >= 1e6 || tiny) {
    const [mantissa, exponent] = value.toExponential(decimals === undefined ? undefined : 2).split("e");
    const short = mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa;
    const power = `10${superscript(Number(exponent))}`;
    return minus(short === "1" ? power : `${short}·${power}`);
  }
  const text = decimals === undefined ? String(Number(size.toPrecision(6))) : size.toFixed(decimals);
  const [whole, fraction] = text.split(".");
  const grouped = whole.length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, "\u2009") : whole;
  const sign = value < 0 && Number(text) !== 0 ? "−" : "";
  return sign + (fraction === undefined ? grouped : `${grouped}.${fraction}`);
}

/** The class that gives a series its colour. */
export function seriesClass(series: number): string {
  return `s${series % SERIES_STYLES}`;
}

/** The mark of a series around (x, y): its shape differs too, for those who cannot tell its colour. */
export function mark(series: number, x: number, y: number, title?: string): Markup {
  const tip = title === undefined ? undefined : markup`<title>${title}</title>`;
  const at = (points: [number, number][]) => points.map(([dx, dy]) => `${round(x + dx)},${round(y + dy)}`).join(" ");
  switch (series % SERIES_STYLES) {
    case 0:
      return markup`<circle class="mark" cx="${x}" cy="${y}" r="3.6">${tip}</circle>`;
    case 1:
      return markup`<rect class="mark" x="${x - 3.3}" y="${y - 3.3}" width="6.6" height="6.6">${tip}</rect>`;
    case 2:
      return markup`<polygon class="mark" points="${at([[0, -4.4], [4.2, 3.2], [-4.2, 3.2]])}">${tip}</polygon>`;
    case 3:
      return markup`<polygon class="mark" points="${at([[0, -4.8], [4.8, 0], [0, 4.8], [-4.8, 0]])}">${tip}</polygon>`;
    case 4:
      return markup`<polygon class="mark" points="${at([[0, 4.4], [4.2, -3.2], [-4.2, -3.2]])}">${tip}</polygon>`;
    case 5:
      return markup`<circle class="mark hollow" cx="${x}" cy="${y}" r="3.4">${tip}</circle>`;
    case 6:
      return markup`<rect class="mark hollow" x="${x - 3.1}" y="${y - 3.1}" width="6.2" height="6.2">${tip}</rect>`;
    default:
      return markup`<polygon class="mark hollow" points="${
        at([[0, -4.6], [4.6, 0], [0, 4.6], [-4.6, 0]])
      }">${tip}</polygon>`;
  }
}

/** A drawing of fixed proportions with a title and a description for those who do not see it. */
export function drawing(
  options: { id: string; width: number; height: number; title: string; description: string },
  content: Content,
): Markup {
  const { id, width, height, title, description } = options;
  return markup`<svg class="chart" role="img" aria-labelledby="${id}-title ${id}-desc"
  viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">
<title id="${id}-title">${title}</title>
<desc id="${id}-desc">${description}</desc>
${content}
</svg>`;
}

function round(value: number): number {
  return Number(value.toFixed(2));
}

function minus(text: string): string {
  return text.replaceAll("-", "−");
}

function superscript(exponent: number): string {
  return [...String(exponent)].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(c)])).join("");
}

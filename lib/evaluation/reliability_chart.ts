/**
 * Reliability diagrams: accuracy against confidence, the gap between them, and how many predictions stand behind it.
 *
 * @module
 */

import { expectedCalibrationError, type ReliabilityBin } from "./calibration.ts";
import { type Markup, markup } from "./markup.ts";
import { drawing, formatNumber, linearScale, linearTicks, seriesClass } from "./svg.ts";

const WIDTH = 220;
const LEFT = 42, RIGHT = 214;
const TOP = 8, BOTTOM = TOP + RIGHT - LEFT;
const COUNTS_TOP = BOTTOM + 12, COUNTS_BOTTOM = COUNTS_TOP + 36;
const HEIGHT = COUNTS_BOTTOM + 38;

/**
 * The reliability diagram of one method, as an SVG element.
 *
 * @param id unique on the page
 * @param series number of the method's colour
 */
export function reliabilityChart(id: string, name: string, bins: readonly ReliabilityBin[], series: number): Markup {
  const filled = bins.filter((bin) => bin.count > 0);
  const n = filled.reduce((sum, bin) => sum + bin.count, 0);
  const x = linearScale(0, 1, LEFT, RIGHT), y = linearScale(0, 1, BOTTOM, TOP);
  const most = Math.max(1, ...filled.map((bin) => bin.count));
  const countHeight = linearScale(0, most, 0, COUNTS_BOTTOM - COUNTS_TOP);
  const ticks = linearTicks(0, 1, 5);
  return drawing(
    { id, width: WIDTH, height: HEIGHT, title: `Reliability of ${name}`, description: describe(filled, n) },
    markup`<defs><pattern id="${id}-hatch" width="5" height="5"
  patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line class="hatch"
  x1="0" x2="0" y1="0" y2="5"/></pattern></defs>
${
      ticks.map(({ value, label }) =>
        markup`<line class="grid" x1="${LEFT}" x2="${RIGHT}" y1="${y(value)}" y2="${y(value)}"/>
<text class="tick end" x="${LEFT - 7}" y="${y(value) + 4}">${label}</text>
<line class="axis" x1="${x(value)}" x2="${x(value)}" y1="${COUNTS_BOTTOM}" y2="${COUNTS_BOTTOM + 4}"/>
<text class="tick middle" x="${x(value)}" y="${COUNTS_BOTTOM + 17}">${label}</text>
`
      )
    }<g class="${seriesClass(series)}">
${
      filled.map((bin) => {
        const left = x(bin.lower) + 0.75, width = x(bin.upper) - x(bin.lower) - 1.5;
        const high = Math.max(bin.accuracy, bin.confidence), gap = Math.abs(bin.accuracy - bin.confidence);
        const height = countHeight(bin.count);
        return markup`<g><title>${sentence(bin)}</title>
<rect class="bar" x="${left}" width="${width}" y="${y(bin.accuracy)}" height="${BOTTOM - y(bin.accuracy)}"/>
<rect class="gap" x="${left}" width="${width}" y="${y(high)}" height="${y(0) - y(gap)}"/>
<rect fill="url(#${id}-hatch)" x="${left}" width="${width}" y="${y(high)}" height="${y(0) - y(gap)}"/>
<rect class="count" x="${left}" width="${width}" y="${COUNTS_BOTTOM - height}" height="${height}"/></g>
`;
      })
    }</g>
<line class="diagonal" x1="${LEFT}" y1="${BOTTOM}" x2="${RIGHT}" y2="${TOP}"/>
<line class="axis" x1="${LEFT}" x2="${RIGHT}" y1="${BOTTOM}" y2="${BOTTOM}"/>
<line class="axis" x1="${LEFT}" x2="${RIGHT}" y1="${COUNTS_BOTTOM}" y2="${COUNTS_BOTTOM}"/>
<text class="tick end" x="${LEFT - 7}" y="${COUNTS_TOP + 8}">${formatNumber(most)}</text>
<text class="tick end" x="${LEFT - 7}" y="${COUNTS_BOTTOM + 1}">0</text>
<text class="label middle" x="${(LEFT + RIGHT) / 2}" y="${HEIGHT - 4}">confidence</text>
<text class="label middle" transform="translate(8 ${(TOP + BOTTOM) / 2}) rotate(-90)">accuracy</text>`,
  );
}

function describe(filled: readonly ReliabilityBin[], n: number): string {
  const ece = formatNumber(expectedCalibrationError(filled), 3);
  return `${n} predictions, expected calibration error ${ece}. ${filled.map(sentence).join(" ")}`;
}

function sentence({ lower, upper, count, confidence, accuracy }: ReliabilityBin): string {
  const [from, to, sure, right] = [lower, upper, confidence, accuracy].map((value) => formatNumber(value, 3));
  return `Confidence ${from} to ${to}: ${count} prediction${
    count === 1 ? "" : "s"
  }, mean confidence ${sure}, accuracy ${right}.`;
}

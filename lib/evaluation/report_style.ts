/**
 * The style sheet of a report: type, rules and colours, light and dark.
 *
 * The series colours are Okabe and Ito's, which the colour-blind tell apart, made darker on light and lighter on dark
 * where their contrast with the ground was below 3.
 *
 * @module
 */

/** CSS for {@linkcode renderReport}'s page. */
export const REPORT_STYLE = `
:root {
  color-scheme: light dark;
  --ground: #ffffff; --ink: #1a1c20; --soft: #5c626b; --rule: #c9cdd3; --grid: #e8eaed;
  --s0: #0068a8; --s1: #c44f00; --s2: #00805c; --s3: #a8538a; --s4: #8f6a00; --s5: #2b8cc4; --s6: #6b7280;
  --s7: #7a4fc0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14161a; --ink: #e6e8eb; --soft: #9aa1ab; --rule: #3d424a; --grid: #262a30;
    --s0: #56a8e0; --s1: #f08a4b; --s2: #3cbf95; --s3: #dd8fc0; --s4: #e0b03a; --s5: #8ccdf5; --s6: #a3a9b4;
    --s7: #b497f0;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 62rem; padding: 3.5rem 1.75rem 5rem; background: var(--ground); color: var(--ink);
  font: 1.0625rem/1.55 Charter, "Bitstream Charter", "Iowan Old Style", "Source Serif 4", "Palatino Linotype",
    Palatino, Georgia, serif;
  font-variant-numeric: lining-nums; text-rendering: optimizeLegibility;
}
h1 { font-size: 2rem; line-height: 1.2; font-weight: 600; letter-spacing: -0.01em; margin: 0; text-wrap: balance; }
.subtitle { font-size: 1.125rem; color: var(--soft); margin: 0.6rem 0 0; max-width: 46rem; text-wrap: pretty; }
header { padding-bottom: 1.5rem; border-bottom: 1px solid var(--rule); }
h2 { font-size: 1.3rem; line-height: 1.3; font-weight: 600; margin: 3rem 0 1rem; }
p, li { max-width: 46rem; }
figure { margin: 0; }
figcaption, caption {
  font-size: 0.9375rem; line-height: 1.45; color: var(--soft); text-align: left; max-width: 46rem; text-wrap: pretty;
}
figcaption b, caption b { color: var(--ink); font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: lining-nums tabular-nums; }
caption { caption-side: top; padding-bottom: 0.6rem; }
.results { min-width: min(100%, 34rem); border-bottom: 2px solid var(--ink); }
.results thead th {
  border-top: 2px solid var(--ink); border-bottom: 1px solid var(--ink); font-weight: 600; vertical-align: bottom;
}
.results th, .results td { padding: 0.4rem 0 0.4rem 2.25rem; text-align: right; white-space: nowrap; }
.results th:first-child, .results td:first-child { padding-left: 0.15rem; text-align: left; }
.results tbody tr + tr > * { border-top: 1px solid var(--grid); }
.results tbody th { font-weight: 400; }
.results .best { font-weight: 700; }
.results .deviation { color: var(--soft); font-weight: 400; font-size: 0.875em; }
.swatch {
  display: inline-block; flex: none; width: 0.7em; height: 0.7em; margin-right: 0.55em; border-radius: 2px;
  background: var(--c);
}
.panels { display: flex; flex-wrap: wrap; gap: 2rem 18px; margin-top: 1.25rem; }
.panel { width: 220px; display: flex; flex-direction: column; justify-content: flex-end; }
.panel h3 {
  font-size: 0.9375rem; font-weight: 600; margin: 0 0 0.5rem 42px; line-height: 1.3; text-wrap: balance;
  overflow-wrap: anywhere;
}
.panel h3 small {
  display: block; font-size: 0.875rem; font-weight: 400; color: var(--soft); font-variant-numeric: tabular-nums;
}
.curve + .curve { margin-top: 2.5rem; }
.curve figcaption, .calibration figcaption { margin-bottom: 0.75rem; }
.chart {
  display: block; max-width: 100%; height: auto; overflow: visible;
  font-family: system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
.chart text { fill: var(--ink); font-size: 12px; }
.chart .tick { fill: var(--soft); font-size: 11px; font-variant-numeric: tabular-nums; }
.chart .label { fill: var(--soft); }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
.chart .grid { stroke: var(--grid); }
.chart .axis { stroke: var(--soft); }
.chart .diagonal { stroke: var(--ink); stroke-dasharray: 4 3; opacity: 0.65; }
.chart .bar { fill: var(--c); opacity: 0.8; }
.chart .count { fill: var(--c); opacity: 0.45; }
.chart .gap { fill: var(--ink); fill-opacity: 0.06; stroke: var(--ink); stroke-width: 0.8; }
.chart .hatch { stroke: var(--ink); stroke-width: 1.2; opacity: 0.6; }
.chart .line { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.chart .band { fill: var(--c); opacity: 0.13; }
.chart .mark { fill: var(--c); stroke: var(--ground); stroke-width: 1; }
.chart .mark.hollow { fill: var(--ground); stroke: var(--c); stroke-width: 1.8; }
.key { display: inline-block; width: 1em; height: 0.8em; vertical-align: -0.05em; margin: 0 0.2em 0 0.1em; }
.key.accuracy { background: var(--s0); opacity: 0.8; }
.key.difference {
  border: 1px solid var(--ink); background: repeating-linear-gradient(135deg, transparent 0 2px, var(--ink) 2px 3px);
}
.key.perfect { border-top: 2px dashed var(--soft); height: 0; vertical-align: 0.25em; width: 1.5em; }
.notes { padding-left: 1.25rem; }
.notes li + li { margin-top: 0.4rem; }
.config { font-size: 0.875rem; width: 100%; }
.config th, .config td {
  text-align: left; vertical-align: top; font-weight: 400; padding: 0.28rem 0; border-top: 1px solid var(--grid);
}
.config th { color: var(--soft); padding-right: 2rem; white-space: nowrap; width: 1%; }
.config td, .config th {
  font-family: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  overflow-wrap: anywhere;
}
.s0 { --c: var(--s0); } .s1 { --c: var(--s1); } .s2 { --c: var(--s2); } .s3 { --c: var(--s3); }
.s4 { --c: var(--s4); } .s5 { --c: var(--s5); } .s6 { --c: var(--s6); } .s7 { --c: var(--s7); }
@media (max-width: 40rem) { body { padding: 2rem 1rem 3rem; } .results th, .results td { padding-left: 1.25rem; } }
@media print { body { padding: 0; max-width: none; } figure, tr { break-inside: avoid; } h2 { break-after: avoid; } }
`;

/**
 * The packages that the command line needs, by full specifier: apart from `lib/deps.ts`, so that `--help` loads nothing
 * heavy.
 *
 * @module
 */

export { closestString } from "npm:deno-std@1.4.0/text/closest_string.js";

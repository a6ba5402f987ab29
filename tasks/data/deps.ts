/**
 * The package that unpacks tar archives, by full specifier: it is loaded by `data prepare` alone.
 *
 * @module
 */

export { default as tar } from "npm:tar-stream@3.2.2";

/**
 * The packages that the library needs, by full specifier: a module that was loaded by URL has no import map.
 *
 * @module
 */

export { inflateSync, unzipSync, zipSync } from "npm:fflate@0.8.3";
export { default as onnxProto } from "npm:onnx-proto@8.0.1";

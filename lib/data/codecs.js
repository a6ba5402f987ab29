/**
 * The WebAssembly codecs, as modules that are compiled at import and need no permission: no file read, no network, no
 * FFI.
 *
 * This file is JavaScript because TypeScript does not parse source-phase imports (`import source`) yet; for the same
 * reason its specifiers cannot stand in `lib/deps.ts`. Types: `codecs.d.ts`.
 *
 * @module
 */
// @ts-self-types="./codecs.d.ts"

import source jpegModule from "npm:@jsquash/jpeg@1.6.0/codec/dec/mozjpeg_dec.wasm";
import source pngModule from "npm:@jsquash/png@3.1.1/codec/pkg/squoosh_png_bg.wasm";

export { default as createJpegCodec } from "npm:@jsquash/jpeg@1.6.0/codec/dec/mozjpeg_dec.js";
export { decode as decodePng, initSync as initPng } from "npm:@jsquash/png@3.1.1/codec/pkg/squoosh_png.js";
export { jpegModule, pngModule };

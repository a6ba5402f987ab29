/** Pixels as a codec hands them out: 4 bytes a pixel (RGBA), row-major. */
export interface RgbaImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray;
}

/** An instance of MozJPEG's decoder; libjpeg's errors are thrown after their text went to `printErr`. */
export interface JpegCodec {
  decode(bytes: Uint8Array, preserveOrientation: boolean): RgbaImage | null;
}

/** How Emscripten is asked to set up an instance. */
export interface JpegCodecOptions {
  noInitialRun: boolean;
  print(text: string): void;
  printErr(text: string): void;
  instantiateWasm(
    imports: WebAssembly.Imports,
    receive: (instance: WebAssembly.Instance) => void,
  ): WebAssembly.Exports;
}

/** MozJPEG's decoder, compiled. */
export const jpegModule: WebAssembly.Module;
/** The PNG decoder (Rust's `png`), compiled. */
export const pngModule: WebAssembly.Module;
/** Instantiates MozJPEG's decoder. */
export function createJpegCodec(options: JpegCodecOptions): Promise<JpegCodec>;
/** Instantiates the PNG decoder; a second call does nothing. */
export function initPng(module: WebAssembly.Module): void;
/** Decodes a PNG file; throws an Error without a reason where it cannot. */
export function decodePng(bytes: Uint8Array): RgbaImage;

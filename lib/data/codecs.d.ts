/** Pixels as a codec hands them out: 4 bytes a pixel (RGBA), row-major. */
export interface RgbaImage {
  /** Columns. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
  /** `[height, width, 4]` */
  readonly data: Uint8ClampedArray;
}

/** An instance of MozJPEG's decoder; libjpeg's errors are thrown after their text went to `printErr`. */
export interface JpegCodec {
  /** Pixels of a file, or null. */
  decode(bytes: Uint8Array, preserveOrientation: boolean): RgbaImage | null;
}

/** How Emscripten is asked to set up an instance. */
export interface JpegCodecOptions {
  /** Whether to leave out the program's `main`. */
  noInitialRun: boolean;
  /** Receives standard output. */
  print(text: string): void;
  /** Receives standard error: libjpeg's warnings and errors. */
  printErr(text: string): void;
  /** Instantiates the module with the imports that it needs. */
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

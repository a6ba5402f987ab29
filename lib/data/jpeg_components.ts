/**
 * JPEG files of fewer components: three of a file's four, by copying the bits of their blocks (ITU-T T.81). What is left
 * out is never decoded to numbers, so a decoder makes of the others what it would have made of them in the whole file.
 *
 * @module
 */

import { FormatError } from "../errors.ts";
import { BitReader, BitWriter, type HuffmanTable, readTables } from "./jpeg_bits.ts";

/** A component as the frame header describes it. */
interface Component {
  readonly id: number;
  /** Blocks of it across and down a unit of an interleaved scan. */
  readonly across: number;
  readonly down: number;
}

interface Frame {
  readonly height: number;
  readonly width: number;
  readonly progressive: boolean;
  readonly components: readonly Component[];
}

/** A component of a scan, with the places of its tables. */
interface ScanComponent {
  readonly component: Component;
  readonly kept: boolean;
  readonly tables: number;
}

/** What the segments so far said. */
interface State {
  frame?: Frame;
  restartInterval: number;
  /** By class (0 of constants, 1 of the others) and place. */
  readonly tables: Map<number, HuffmanTable>;
}

const SOI = 0xd8, EOI = 0xd9, SOS = 0xda, DHT = 0xc4, DRI = 0xdd, ADOBE = 0xee;

/**
 * The colour transform that Adobe's marker states: 0 none, 1 YCbCr, 2 YCCK; `undefined` without the marker.
 *
 * @param file what to call the bytes in an error
 * @throws {FormatError} if the file ends before its image
 */
export function adobeTransform(bytes: Uint8Array, file: string): number | undefined {
  for (const { marker, body } of segments(bytes, file)) {
    if (marker === SOS) return undefined;
    if (marker === ADOBE && body.length >= 12 && String.fromCharCode(...body.subarray(0, 5)) === "Adobe") {
      return body[11];
    }
  }
  return undefined;
}

/**
 * The file of some components alone: baseline or progressive, coded by Huffman.
 *
 * @param kept indices of the components, ascending; at least one of them has the full resolution
 * @param transform what Adobe's marker is to state
 * @param file what to call the bytes in an error
 * @throws {FormatError} if the bytes are damaged, end early or are coded otherwise
 */
export function keepComponents(
  bytes: Uint8Array,
  kept: readonly number[],
  transform: number,
  file: string,
): Uint8Array<ArrayBuffer> {
  const out = new BitWriter(bytes.length);
  out.bytes(0xff, SOI, 0xff, ADOBE, 0, 14, ...new TextEncoder().encode("Adobe"), 0, 100, 0, 0, 0, 0, transform);
  const state: State = { restartInterval: 0, tables: new Map() };
  for (const { marker, body, end } of segments(bytes, file)) {
    if (marker === EOI) {
      out.bytes(0xff, EOI);
      return out.finished();
    } else if (marker === SOS) {
      keepScan(bytes, body, end, state, kept, out, file);
    } else if (marker >= 0xc0 && marker <= 0xc2) {
      state.frame = readFrame(marker, body, kept, file);
      const specs = kept.flatMap((index) => [...body.subarray(6 + 3 * index, 9 + 3 * index)]);
      out.segment(marker, Uint8Array.of(...body.subarray(0, 5), kept.length, ...specs));
    } else if (marker > 0xc2 && marker <= 0xcf && marker !== DHT) {
      throw damaged(file, `it is coded in a way (0x${marker.toString(16)}) that is not supported for four components`);
    } else if (marker < 0xe0 || (marker > 0xef && marker !== 0xfe)) {
      if (marker === DHT) readTables(body, state.tables, () => damaged(file, "a Huffman table is damaged"));
      if (marker === DRI) state.restartInterval = body[0] * 256 + body[1];
      out.segment(marker, body);
    }
  }
  throw endsEarly(file);
}

/** The segments of a file; behind a scan's header the next marker is looked for, which ends its data. */
function* segments(bytes: Uint8Array, file: string): Generator<{ marker: number; body: Uint8Array; end: number }> {
  for (let at = 2;;) {
    // Between segments fill bytes may stand; behind a scan's header its data, in which 0xff 0 is a byte.
    while (at + 1 < bytes.length && !(bytes[at] === 0xff && isMarker(bytes[at + 1]))) at++;
    if (at + 1 >= bytes.length) throw endsEarly(file);
    const marker = bytes[at + 1], length = marker === EOI ? 0 : bytes[at + 2] * 256 + bytes[at + 3];
    const end = at + 2 + length;
    if (!(end <= bytes.length)) throw endsEarly(file);
    yield { marker, body: bytes.subarray(at + 4, end), end };
    at = end;
  }
}

/** Whether a byte behind 0xff begins a segment: no stuffing, filling, restart or beginning. */
function isMarker(byte: number): boolean {
  return byte > 0x01 && byte < 0xff && !(byte >= 0xd0 && byte <= SOI);
}

function readFrame(marker: number, body: Uint8Array, kept: readonly number[], file: string): Frame {
  const components = Array.from({ length: body[5] }, (_, i): Component => {
    const sampling = body[7 + 3 * i];
    return { id: body[6 + 3 * i], across: sampling >> 4, down: sampling & 15 };
  });
  const complete = body.length === 6 + 3 * components.length && components.length === 4;
  if (!complete) throw damaged(file, "its frame header is damaged");
  for (const way of ["across", "down"] as const) {
    const most = (some: readonly Component[]) => Math.max(...some.map((component) => component[way]));
    if (
      components.every((component) => component[way] > 0) && most(components) === most(kept.map((i) => components[i]))
    ) {
      continue;
    }
    throw damaged(file, "black alone has its full resolution, which is not supported");
  }
  return {
    height: body[1] * 256 + body[2],
    width: body[3] * 256 + body[4],
    progressive: marker === 0xc2,
    components,
  };
}

/** Writes what is kept of a scan; `start` is where its data begin. */
function keepScan(
  bytes: Uint8Array,
  header: Uint8Array,
  start: number,
  state: State,
  kept: readonly number[],
  out: BitWriter,
  file: string,
): void {
  const { frame } = state, count = header[0];
  if (frame === undefined || header.length !== 4 + 2 * count) throw damaged(file, "a scan's header is damaged");
  const scan = Array.from({ length: count }, (_, i): ScanComponent => {
    const index = frame.components.findIndex(({ id }) => id === header[1 + 2 * i]);
    if (index < 0) throw damaged(file, "a scan has an unknown component");
    return { component: frame.components[index], kept: kept.includes(index), tables: header[2 + 2 * i] };
  });
  const chosen = scan.filter((component) => component.kept);
  if (chosen.length === 0) return;
  const specs = chosen.flatMap(({ component, tables }) => [component.id, tables]);
  out.segment(SOS, Uint8Array.of(chosen.length, ...specs, ...header.subarray(1 + 2 * count)));
  if (chosen.length === scan.length) return out.copy(bytes.subarray(start, endOfData(bytes, start)));
  // Alone, a component has a scan without the blocks that fill up the units of an interleaved one.
  if (chosen.length === 1 && chosen[0].component.across * chosen[0].component.down > 1) {
    throw damaged(file, "its components are interleaved in a way that is not supported");
  }
  const [from, to, approximation] = header.subarray(1 + 2 * count);
  if (frame.progressive ? to > 0 : from !== 0 || to !== 63) throw damaged(file, "a scan's header is damaged");
  const reader = new BitReader(bytes, start, () => endsEarly(file));
  const pass = frame.progressive ? approximation >> 4 === 0 ? "constants" : "refinement" : "blocks";
  keepUnits(reader, out, { frame, scan, state, pass, file });
}

/** Where a scan's data end. */
function endOfData(bytes: Uint8Array, start: number): number {
  let at = start;
  while (at + 1 < bytes.length && !(bytes[at] === 0xff && isMarker(bytes[at + 1]))) at++;
  return at;
}

interface Interleaved {
  readonly frame: Frame;
  readonly scan: readonly ScanComponent[];
  readonly state: State;
  /** What the scan has of each block: all of it, or in a progressive file its constant, first or refined by a bit. */
  readonly pass: "blocks" | "constants" | "refinement";
  readonly file: string;
}

function keepUnits(reader: BitReader, out: BitWriter, { frame, scan, state, pass, file }: Interleaved): void {
  const { components, height, width } = frame;
  const most = (way: "across" | "down") => Math.max(...components.map((component) => component[way]));
  const units = Math.ceil(width / (8 * most("across"))) * Math.ceil(height / (8 * most("down")));
  const noTable = () => damaged(file, "a Huffman table is missing");
  for (let unit = 0; unit < units; unit++) {
    if (state.restartInterval > 0 && unit > 0 && unit % state.restartInterval === 0) out.restart(reader.restart());
    for (const { component, kept, tables } of scan) {
      for (let block = 0; block < component.across * component.down; block++) {
        reader.copyTo = kept ? out : undefined;
        if (pass === "refinement") {
          reader.skip(1);
          continue;
        }
        const constants = state.tables.get(tables >> 4), others = state.tables.get(16 + (tables & 15));
        if (constants === undefined) throw noTable();
        reader.skip(constants.read(reader));
        if (pass === "constants") continue;
        if (others === undefined) throw noTable();
        skipOthers(reader, others);
      }
    }
  }
  out.align();
}

/** The block's 63 coefficients behind the constant. */
function skipOthers(reader: BitReader, table: HuffmanTable): void {
  for (let at = 1; at < 64; at++) {
    const symbol = table.read(reader), bits = symbol & 15, zeros = symbol >> 4;
    if (bits === 0 && zeros < 15) return;
    at += zeros;
    reader.skip(bits);
  }
}

function endsEarly(file: string): FormatError {
  return damaged(file, "its data end early");
}

function damaged(file: string, found: string): FormatError {
  return new FormatError(`Cannot decode ${file} as JPEG: ${found}; convert or replace the file`);
}

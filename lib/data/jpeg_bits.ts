/**
 * The bits of a JPEG file's scans: read, copied on the way, written, and the Huffman tables that cut them into symbols
 * (ITU-T T.81, annexes B, C and F).
 *
 * @module
 */

/** Reads bits until a marker. */
export class BitReader {
  /** Gets every bit that is read. */
  copyTo: BitWriter | undefined;
  #bytes: Uint8Array;
  #at: number;
  #current = 0;
  #left = 0;
  #ended: () => Error;

  /** @param ended what to throw where the bits end */
  constructor(bytes: Uint8Array, start: number, ended: () => Error) {
    this.#bytes = bytes;
    this.#at = start;
    this.#ended = ended;
  }

  /** The next bit. */
  bit(): number {
    if (this.#left === 0) this.#fill();
    const bit = this.#current >> --this.#left & 1;
    this.copyTo?.bit(bit);
    return bit;
  }

  /** Passes over bits. */
  skip(count: number): void {
    for (let i = 0; i < count; i++) this.bit();
  }

  /** Passes over a restart marker, which must come next; returns it. */
  restart(): number {
    this.#left = 0;
    const marker = this.#bytes[this.#at + 1];
    if (this.#bytes[this.#at] !== 0xff || marker < 0xd0 || marker > 0xd7) throw this.#ended();
    this.#at += 2;
    return marker;
  }

  #fill(): void {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw this.#ended();
    // A byte 0xff is followed by 0; anything else is a marker.
    if (byte === 0xff && this.#bytes[this.#at++] !== 0) throw this.#ended();
    this.#current = byte;
    this.#left = 8;
  }
}

/** Writes segments, and bits between them. */
export class BitWriter {
  #out: Uint8Array<ArrayBuffer>;
  #size = 0;
  #current = 0;
  #count = 0;

  /** @param expected about how many bytes there will be */
  constructor(expected: number) {
    this.#out = new Uint8Array(expected + 64);
  }

  /** Writes bytes as they are. */
  bytes(...values: number[]): void {
    for (const value of values) this.#byte(value);
  }

  /** Writes many bytes as they are. */
  copy(values: Uint8Array): void {
    this.#reserve(values.length);
    this.#out.set(values, this.#size);
    this.#size += values.length;
  }

  /** Writes a marker with what belongs to it. */
  segment(marker: number, body: Uint8Array): void {
    this.bytes(0xff, marker, (body.length + 2) >> 8, (body.length + 2) & 255);
    this.copy(body);
  }

  /** Writes a bit. */
  bit(bit: number): void {
    this.#current = this.#current << 1 | bit;
    if (++this.#count < 8) return;
    this.#byte(this.#current);
    if (this.#current === 0xff) this.#byte(0);
    this.#current = this.#count = 0;
  }

  /** Fills up a byte that was begun, by ones. */
  align(): void {
    while (this.#count > 0) this.bit(1);
  }

  /** Writes a restart marker. */
  restart(marker: number): void {
    this.align();
    this.bytes(0xff, marker);
  }

  /** What was written. */
  finished(): Uint8Array<ArrayBuffer> {
    return this.#out.slice(0, this.#size);
  }

  #byte(value: number): void {
    this.#reserve(1);
    this.#out[this.#size++] = value;
  }

  #reserve(count: number): void {
    if (this.#size + count <= this.#out.length) return;
    const larger = new Uint8Array(2 * (this.#size + count));
    larger.set(this.#out);
    this.#out = larger;
  }
}

/** A code of symbols: those of a length are consecutive numbers. */
export class HuffmanTable {
  #counts: Uint8Array;
  #symbols: Uint8Array;
  #invalid: () => Error;

  /**
   * @param counts of the symbols of 1 to 16 bits
   * @param symbols in the order of their codes
   * @param invalid what to throw where bits are no code
   */
  constructor(counts: Uint8Array, symbols: Uint8Array, invalid: () => Error) {
    this.#counts = counts;
    this.#symbols = symbols;
    this.#invalid = invalid;
  }

  /** The next symbol. */
  read(reader: BitReader): number {
    let code = 0, first = 0, before = 0;
    for (const count of this.#counts) {
      code = code << 1 | reader.bit();
      if (code - first < count) return this.#symbols[before + code - first];
      first = (first + count) << 1;
      before += count;
    }
    throw this.#invalid();
  }
}

/** Reads the tables of a segment, by 16 * class + place. */
export function readTables(body: Uint8Array, tables: Map<number, HuffmanTable>, invalid: () => Error): void {
  for (let at = 0; at < body.length;) {
    const counts = body.subarray(at + 1, at + 17);
    const total = counts.reduce((sum, count) => sum + count, 0);
    if (at + 17 + total > body.length) throw invalid();
    tables.set(body[at], new HuffmanTable(counts, body.subarray(at + 17, at + 17 + total), invalid));
    at += 17 + total;
  }
}

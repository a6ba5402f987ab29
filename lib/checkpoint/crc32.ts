/**
 * CRC-32 as zip archives use it (ISO 3309, reflected polynomial 0xEDB88320), sixteen bytes a step.
 *
 * @module
 */

const POLYNOMIAL = 0xedb88320;
const SLICES = 16;

/** `table[256 * k + b]`: the effect of byte `b` once `k` further bytes have passed. */
function makeTables(): Uint32Array {
  const table = new Uint32Array(256 * SLICES);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    table[byte] = crc;
  }
  for (let i = 256; i < table.length; i++) table[i] = (table[i - 256] >>> 8) ^ table[table[i - 256] & 0xff];
  return table;
}

let tables: Uint32Array | undefined;

/** The CRC-32 of `bytes`, as an unsigned 32-bit integer. */
export function crc32(bytes: Uint8Array): number {
  const t = tables ??= makeTables();
  let crc = 0xffffffff;
  let i = 0;
  for (const end = bytes.length - SLICES; i <= end; i += SLICES) {
    crc = t[3840 + (bytes[i] ^ (crc & 0xff))] ^ t[3584 + (bytes[i + 1] ^ ((crc >>> 8) & 0xff))] ^
      t[3328 + (bytes[i + 2] ^ ((crc >>> 16) & 0xff))] ^ t[3072 + (bytes[i + 3] ^ (crc >>> 24))] ^
      t[2816 + bytes[i + 4]] ^ t[2560 + bytes[i + 5]] ^ t[2304 + bytes[i + 6]] ^ t[2048 + bytes[i + 7]] ^
      t[1792 + bytes[i + 8]] ^ t[1536 + bytes[i + 9]] ^ t[1280 + bytes[i + 10]] ^ t[1024 + bytes[i + 11]] ^
      t[768 + bytes[i + 12]] ^ t[512 + bytes[i + 13]] ^ t[256 + bytes[i + 14]] ^ t[bytes[i + 15]];
  }
  for (; i < bytes.length; i++) crc = (crc >>> 8) ^ t[(crc ^ bytes[i]) & 0xff];
  return (crc ^ 0xffffffff) >>> 0;
}

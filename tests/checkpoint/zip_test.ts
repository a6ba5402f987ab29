import { assertEquals, assertThrows } from "@std/assert";
import { FormatError } from "../../lib/errors.ts";
import { crc32 } from "../../lib/checkpoint/crc32.ts";
import { readEntry, readZip } from "../../lib/checkpoint/zip.ts";
import { writeZip } from "../../lib/checkpoint/zip_writer.ts";
import { unzipSync, zipSync } from "../../lib/deps.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const FILES: Readonly<Record<string, Uint8Array>> = {
  "a/empty": new Uint8Array(0),
  "a/données": text("some text"),
  "b": Uint8Array.from({ length: 5000 }, (_, i) => i * i),
};

function contents(bytes: Uint8Array): Record<string, Uint8Array> {
  const archive = readZip(bytes);
  return Object.fromEntries([...archive.entries].map(([name, entry]) => [name, readEntry(archive, entry).slice()]));
}

Deno.test("crc32() gives the standard check value, at every length around its step", () => {
  assertEquals(crc32(text("123456789")), 0xcbf43926);
  assertEquals(crc32(new Uint8Array(0)), 0);
  const bytes = Uint8Array.from({ length: 70 }, (_, i) => i * 37 + 11);
  for (let length = 0; length <= bytes.length; length++) {
    let crc = ~0;
    for (const byte of bytes.subarray(0, length)) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
    assertEquals(crc32(bytes.subarray(0, length)), ~crc >>> 0, `${length} bytes`);
  }
});

Deno.test("writeZip() is read by readZip() and by another library", () => {
  const bytes = writeZip(Object.entries(FILES).map(([name, data]) => ({ name, data })));
  assertEquals(contents(bytes), FILES);
  assertEquals(unzipSync(bytes), FILES);
});

Deno.test("readZip() reads another library's archives, stored and deflated", () => {
  assertEquals(contents(zipSync(FILES, { level: 0 })), FILES);
  assertEquals(contents(zipSync(FILES, { level: 9 })), FILES);
});

Deno.test("readZip() refuses an archive with two entries of one name", () => {
  const twice = [{ name: "a", data: text("1") }, { name: "a", data: text("2") }];
  assertThrows(() => readZip(writeZip(twice)), FormatError, "two entries named a");
});

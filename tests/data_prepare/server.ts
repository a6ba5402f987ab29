/** A local http server of files that misbehaves on purpose, and archives in memory. */

import { gzipSync } from "node:zlib";

/** How a server treats the requests for one file, first to last; the last one stays in force. */
export type Behaviour =
  /** As it should be: ranges, an ETag. */
  | "well"
  /** Ends the connection after half of what it promised. */
  | "breaks off"
  /** Sends all, whatever range is asked for. */
  | "ignores ranges"
  /** Promises twice as many bytes as it sends. */
  | "promises too much"
  /** Sends the file without saying how long it is. */
  | "is silent about length"
  /** Says nothing after half of the bytes, and stays connected. */
  | "stalls"
  | "fails"
  | "has nothing"
  /** Has a new version of the file: another ETag, other bytes. */
  | "has another version"
  /** Has no ETag, and ends the connection after half. */
  | "breaks off unversioned"
  /** Has other bytes by now, as many as before, and no ETag. */
  | "has other bytes unversioned"
  /** Has more bytes by now, and no ETag. */
  | "has more bytes unversioned"
  /** Sends the rest of another version, whatever `If-Range` asks. */
  | "ignores conditions"
  /** States half as many bytes as it sends. */
  | "states too little"
  /** Says of a part that the whole has no more than 10 bytes. */
  | "states too little of the whole"
  /** Ends after half of the bytes, as if they were all. */
  | "ends early"
  /** Sends the file compressed where it may, and ends the connection after half. */
  | "compresses and breaks off"
  | `redirects to ${string}`;

/** A server and what it was asked. */
export interface TestServer extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly address: string;
  readonly host: string;
  /** Path and range of every request, in order. */
  readonly requests: string[];
}

/** Serves files by path, each by its behaviours. */
export function serve(
  files: Readonly<Record<string, Uint8Array>>,
  behaviours: Readonly<Record<string, readonly Behaviour[]>> = {},
): TestServer {
  const requests: string[] = [], counts = new Map<string, number>();
  const stalled: (() => void)[] = [];
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections = new Set<Deno.Conn>();
  const serving = (async () => {
    for await (const connection of listener) {
      connections.add(connection);
      answer(connection).catch(() => {}).finally(() => {
        connections.delete(connection);
        try {
          connection.close();
        } catch {
          // Closed by the client.
        }
      });
    }
  })().catch(() => {});

  async function answer(connection: Deno.Conn): Promise<void> {
    const request = await readHead(connection);
    const [, path = ""] = /^GET (\S+)/.exec(request) ?? [];
    const from = Number(/^range: bytes=(\d+)-/im.exec(request)?.[1] ?? 0);
    const condition = /^if-range: (.+)$/im.exec(request)?.[1]?.trim();
    requests.push(from > 0 ? `${path} ${from}` : path);
    const list = behaviours[path] ?? ["well"], count = counts.get(path) ?? 0;
    counts.set(path, count + 1);
    const behaviour = list[Math.min(count, list.length - 1)];
    let file = files[path];
    if (file === undefined || behaviour === "has nothing") {
      return await send(connection, "404 Not Found", {}, new Uint8Array());
    }
    if (behaviour === "fails") return await send(connection, "503 Service Unavailable", {}, new Uint8Array());
    if (behaviour.startsWith("redirects to ")) {
      const location = behaviour.slice("redirects to ".length);
      return await send(connection, "302 Found", { location, "content-length": "0" }, new Uint8Array());
    }
    const unversioned = behaviour.endsWith("unversioned");
    let etag = '"one"';
    if (["has another version", "ignores conditions", "has other bytes unversioned"].includes(behaviour)) {
      file = file.map((byte) => byte ^ 0xff);
      etag = '"two"';
    }
    if (behaviour === "has more bytes unversioned") file = moreOf(file);
    const compressed = behaviour === "compresses and breaks off" && !/^accept-encoding: identity$/im.test(request);
    if (compressed) file = new Uint8Array(gzipSync(file));
    const met = condition === undefined || condition === etag || behaviour === "ignores conditions";
    const partial = from > 0 && behaviour !== "ignores ranges" && met;
    if (partial && from >= file.length) {
      const headers = { "content-range": `bytes */${file.length}`, "content-length": "0" };
      return await send(connection, "416 Range Not Satisfiable", headers, new Uint8Array());
    }
    const body = partial ? file.subarray(from) : file;
    const headers: Record<string, string> = { "content-length": String(body.length) };
    if (!unversioned) headers["etag"] = etag;
    if (compressed) headers["content-encoding"] = "gzip";
    const whole = behaviour === "states too little of the whole" ? 10 : file.length;
    if (partial) headers["content-range"] = `bytes ${from}-${file.length - 1}/${whole}`;
    if (behaviour === "promises too much") headers["content-length"] = String(2 * body.length);
    if (behaviour === "states too little") headers["content-length"] = String(body.length >> 1);
    if (behaviour === "is silent about length" || behaviour === "ends early") delete headers["content-length"];
    const half = ["stalls", "ends early"].includes(behaviour) || behaviour.includes("breaks off");
    const sent = half ? body.subarray(0, Math.ceil(body.length / 2)) : body;
    await send(connection, partial ? "206 Partial Content" : "200 OK", headers, sent);
    if (behaviour === "stalls") await new Promise<void>((resolve) => stalled.push(resolve));
  }

  const { port } = listener.addr as Deno.NetAddr;
  return {
    address: `http://127.0.0.1:${port}`,
    host: `127.0.0.1:${port}`,
    requests,
    async [Symbol.asyncDispose]() {
      stalled.forEach((resolve) => resolve());
      listener.close();
      for (const connection of connections) {
        try {
          connection.close();
        } catch {
          // Closed already.
        }
      }
      await serving;
    },
  };
}

/** What a file became that grew: other bytes, and more. */
export function moreOf(file: Uint8Array): Uint8Array {
  const more = new Uint8Array(file.length + 1000).fill(7);
  more.set(file.map((byte) => byte ^ 0xff));
  return more;
}

async function readHead(connection: Deno.Conn): Promise<string> {
  const decoder = new TextDecoder(), buffer = new Uint8Array(4096);
  let head = "";
  while (!head.includes("\r\n\r\n")) {
    const count = await connection.read(buffer);
    if (count === null) break;
    head += decoder.decode(buffer.subarray(0, count));
  }
  return head;
}

async function send(
  connection: Deno.Conn,
  status: string,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): Promise<void> {
  const lines = [`HTTP/1.1 ${status}`, "connection: close", ...Object.entries(headers).map(([k, v]) => `${k}: ${v}`)];
  const head = new TextEncoder().encode(lines.join("\r\n") + "\r\n\r\n");
  for (let rest: Uint8Array = head; rest.length > 0;) rest = rest.subarray(await connection.write(rest));
  for (let rest = body; rest.length > 0;) rest = rest.subarray(await connection.write(rest));
}

/** An entry of a tar archive. */
export interface TarEntry {
  readonly name: string;
  readonly data?: Uint8Array;
  /** `0` file, `1` hard link, `2` symbolic link, `3` character device, `5` folder; default file. */
  readonly type?: string;
  readonly link?: string;
  /** Bytes that the header states; default those of `data`. */
  readonly size?: number;
}

/** A tar archive (ustar). */
export function tarArchive(entries: readonly TarEntry[]): Uint8Array<ArrayBuffer> {
  const blocks: Uint8Array[] = [];
  for (const { name, data = new Uint8Array(), type = "0", link = "", size = data.length } of entries) {
    const header = new Uint8Array(512);
    const put = (at: number, text: string) => header.set(new TextEncoder().encode(text), at);
    put(0, name);
    put(100, "0000644\0");
    put(124, size.toString(8).padStart(11, "0") + "\0");
    put(148, "        ");
    put(156, type);
    put(157, link);
    put(257, "ustar\x0000");
    const sum = header.reduce((total, byte) => total + byte, 0);
    put(148, sum.toString(8).padStart(6, "0") + "\0 ");
    const padded = new Uint8Array(Math.ceil(data.length / 512) * 512);
    padded.set(data);
    blocks.push(header, padded);
  }
  blocks.push(new Uint8Array(1024));
  const whole = new Uint8Array(blocks.reduce((sum, block) => sum + block.length, 0));
  let at = 0;
  for (const block of blocks) whole.set(block, at), at += block.length;
  return whole;
}

/** Files by path as a tar archive. */
export function tarOf(files: Readonly<Record<string, Uint8Array | string>>): Uint8Array<ArrayBuffer> {
  return tarArchive(
    Object.entries(files).map(([name, data]) => ({
      name,
      data: typeof data === "string" ? new TextEncoder().encode(data) : data,
    })),
  );
}

/** Compresses by gzip. */
export async function gzip(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}

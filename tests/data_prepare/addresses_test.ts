import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../lib/errors.ts";
import { addressOf, customSource, SOURCES } from "../../tasks/data/sources.ts";
import { assertRefused, runCli } from "../cli/run_cli.ts";
import { JPEG } from "../data/arrays.ts";
import { inTemporaryFolder } from "../data/helpers.ts";
import { serve, tarOf } from "./server.ts";

/** Addresses whose last part must not become a file's name, and what is said of it. */
const HOSTILE: readonly (readonly [string, string])[] = [
  ["http://h/..%2F..%2Fevil.tar", '"../../evil.tar", which may lead outside'],
  ["http://h/a%2fb.tar", '"a/b.tar", which may lead outside'],
  ["http://h/%2Fetc%2Fevil.tar", '"/etc/evil.tar", which may lead outside'],
  ["http://h/..%5Cevil.tar", '"..\\\\evil.tar", which may lead outside'],
  ["http://h/C:evil.tar", '"C:evil.tar", which may lead outside'],
  ["http://h/c%3Aevil.tar", '"c:evil.tar", which may lead outside'],
  ["http://h/evil%00.tar", '"evil\\u0000.tar", which may lead outside'],
  ["http://h/evil%0A.tar", '"evil\\n.tar", which may lead outside'],
  ["http://h/evil%7f.tar", "which may lead outside"],
  ["http://h/", "is empty"],
  ["http://h/a/..", "is empty"],
  ["http://h/a/%2e%2E", "is empty"],
  ["http://h/%zz.tar", "is not decodable"],
  ["http://h/%ff.tar", "is not decodable"],
];

Deno.test("customSource() takes plain file names only, decoded", () => {
  for (const [url, message] of HOSTILE) assertThrows(() => customSource(url), UsageError, message);
  for (
    const [url, name] of [
      ["http://h/a/b.tar", "b.tar"],
      ["http://h/my%20set.zip?token=a%2Fb", "my set.zip"],
      ["http://h/bl%C3%BCten..v2.tgz", "blüten..v2.tgz"],
      ["http://h/50%25.tar", "50%.tar"],
    ]
  ) {
    assertEquals(customSource(url).files.map((file) => [file.name, file.url]), [[name, url]]);
  }
});

Deno.test("addressOf() is the address of the file itself, encoded or not, or lies below a folder's", () => {
  const own = (url: string) => addressOf(customSource(url).files[0], url);
  for (const url of ["http://h/my%20set.zip", "http://h/my%20set.zip?key=1", "http://h/x/bl%C3%BCten.tar"]) {
    assertEquals(own(url), url);
  }
  assertEquals(addressOf(customSource("http://h/my%20set.zip").files[0], "http://m/a/"), "http://m/a/my%20set.zip");
  const [file] = SOURCES.cifar10.files;
  assertEquals(addressOf(file, undefined), file.url);
  assertEquals(addressOf(file, "http://m"), `http://m/${file.name}`);
  assertEquals(addressOf(file, "http://m/a//"), `http://m/a/${file.name}`);
  assertEquals(addressOf(file, `http://m/a/${file.name}`), `http://m/a/${file.name}`);
  assertEquals(addressOf(file, "http://m/a?key=1"), `http://m/a/${file.name}?key=1`);
  // A folder's address is the server's affair, decodable or not.
  assertEquals(addressOf(file, "http://m/%zz"), `http://m/%zz/${file.name}`);
});

Deno.test("swagpu data prepare custom fetches its --url as it stands, and writes nothing outside --data-dir", () =>
  inTemporaryFolder(async (folder) => {
    const archive = tarOf({ "my/train/a/1.jpg": JPEG, "my/val/a/2.jpg": JPEG });
    await using server = serve({ "/my%20set%21.tar": archive, "/..%2F..%2Fevil.tar": archive });
    const permissions = `--allow-net=${server.host} --allow-read --allow-write`;
    const prepare = (dir: string, path: string) =>
      runCli(["data", "prepare", "custom", "--data-dir", dir, "--url", `${server.address}${path}`, "--quiet"], {
        permissions,
      });
    const { code, stderr } = await prepare(`${folder}/a/b/set`, "/my%20set%21.tar");
    assertEquals([code, stderr], [0, ""]);
    assertEquals(server.requests[0], "/my%20set%21.tar");
    assertEquals(await Deno.readFile(`${folder}/a/b/set/train/a/1.jpg`), JPEG);
    const { files } = JSON.parse(await Deno.readTextFile(`${folder}/a/b/set/swagpu-data-custom.json`));
    assertEquals(files[0].name, "my set!.tar");

    const asked = server.requests.length;
    assertRefused(await prepare(`${folder}/a/b/evil`, "/..%2F..%2Fevil.tar"), 2, /"\.\.\/\.\.\/evil\.tar", which may/);
    assertRefused(await prepare(`${folder}/a/b/evil`, "/%zz.tar"), 2, /Cannot use --url \S+: .* not decodable/);
    assertEquals(server.requests.length, asked);
    assertEquals([...Deno.readDirSync(`${folder}/a/b`)].map(({ name }) => name), ["set"]);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["a"]);
  }));

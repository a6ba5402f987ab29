import { assert, assertEquals, assertMatch } from "@std/assert";
import { runCli } from "../cli/run_cli.ts";
import { killAt, pause } from "../commands/kill.ts";
import { GRAY_JPEG, JPEG } from "../data/arrays.ts";
import { inTemporaryFolder } from "../data/helpers.ts";
import { gzip, serve, tarOf, type TestServer } from "./server.ts";

const FILES = 1500;

/** An archive of many images, the sizes of which differ. */
async function archive(): Promise<Uint8Array<ArrayBuffer>> {
  const numbered = (i: number) => `set/${i % 5 === 0 ? "val" : "train"}/${"abc"[i % 3]}/${i}.jpg`;
  const image = (i: number) => Uint8Array.of(...(i % 2 === 0 ? JPEG : GRAY_JPEG), ...new Uint8Array(i % 97).fill(i));
  return await gzip(tarOf(Object.fromEntries(Array.from({ length: FILES }, (_, i) => [numbered(i), image(i)]))));
}

/** Every file below a folder with its bytes, in hexadecimal. */
function contents(folder: string, below = ""): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { name, isDirectory } of Deno.readDirSync(`${folder}/${below}`)) {
    const path = `${below}${name}`;
    if (isDirectory) Object.assign(found, contents(folder, `${path}/`));
    else found[path] = Deno.readFileSync(`${folder}/${path}`).toHex();
  }
  return found;
}

/** How many files are below a folder that another process is filling. */
function count(folder: string): number {
  try {
    return [...Deno.readDirSync(folder)].reduce(
      (sum, { name, isDirectory }) => sum + (isDirectory ? count(`${folder}/${name}`) : 1),
      0,
    );
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

/** What is to be seen of a data set: nothing before it is whole. */
function visible(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => name !== ".prepare");
}

/** The command into a folder, its permissions, and a run of it to its end. */
function preparing(server: TestServer, folder: string) {
  const args = ["data", "prepare", "custom", "--data-dir", folder, "--url", `${server.address}/set.tgz`, "--quiet"];
  const permissions = `--allow-net=${server.host} --allow-read --allow-write`;
  const finish = async () => {
    const { code, stderr } = await runCli(args, { permissions });
    assertEquals([code, stderr], [0, ""]);
  };
  return { args, permissions, finish };
}

Deno.test("swagpu data prepare goes on with the download in the middle of which it was killed", () =>
  inTemporaryFolder(async (folder) => {
    const packed = await archive();
    await using server = serve({ "/set.tgz": packed }, { "/set.tgz": ["stalls", "stalls", "well"] });
    const killed = `${folder}/killed`, { args, permissions, finish } = preparing(server, killed);
    for (const share of [0.5, 0.75]) {
      const enough = async (ended: () => boolean) => {
        const partial = `${killed}/.prepare/custom/set.tgz.partial`;
        const size = () => Deno.stat(partial).then(({ size }) => size, () => 0);
        while (!ended() && await size() < Math.floor(share * packed.length)) await pause(1);
      };
      assert((await killAt(args, enough, permissions)).landed);
      assertEquals(visible(killed), []);
    }
    await finish();
    const [first, second, third] = server.requests;
    assertEquals(first, "/set.tgz");
    assertMatch(second, /^\/set\.tgz \d+$/);
    assert(Number(third.split(" ")[1]) >= Math.floor(0.75 * packed.length), third);
    await preparing(server, `${folder}/whole`).finish();
    assertEquals(contents(killed), contents(`${folder}/whole`));
    assertEquals(count(killed), FILES + 1);
  }));

Deno.test("swagpu data prepare goes on with the unpacking in the middle of which it was killed", () =>
  inTemporaryFolder(async (folder) => {
    await using server = serve({ "/set.tgz": await archive() });
    const killed = `${folder}/killed`, { args, permissions, finish } = preparing(server, killed);
    const staging = `${killed}/.prepare/custom/arranged`;
    for (const files of [20, 400, 900]) {
      const enough = async (ended: () => boolean) => {
        while (!ended() && count(staging) < files) await pause(1);
      };
      assert((await killAt(args, enough, permissions)).landed, `no kill behind ${files} files`);
      assert(count(staging) >= files && count(staging) < FILES);
      assertEquals(visible(killed), []);
    }
    const asked = server.requests.length;
    await finish();
    assertEquals(server.requests.length, asked);
    await preparing(server, `${folder}/whole`).finish();
    assertEquals(contents(killed), contents(`${folder}/whole`));
    assertEquals(count(killed), FILES + 1);
  }));

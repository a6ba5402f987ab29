import { assertEquals, assertRejects } from "@std/assert";
import { createHash } from "node:crypto";
import { type Source, SOURCES } from "../../tasks/data/sources.ts";
import { FormatError } from "../../lib/errors.ts";
import { inTemporaryFolder } from "../data/helpers.ts";
import { CIFAR_FILES, prepared, preparedFrom, tree } from "./prepared.ts";
import { gzip, serve, tarOf } from "./server.ts";

const NAME = "cifar-10-binary.tar.gz";
const GOOD = await gzip(tarOf(CIFAR_FILES));
const HTML = new TextEncoder().encode("<html>Not found</html>");

Deno.test("prepare() removes a download that is no archive where no digest told, and fetches anew", () =>
  inTemporaryFolder(async (folder) => {
    const files: Record<string, Uint8Array> = { [`/${NAME}`]: HTML };
    await using server = serve(files);
    const error = await assertRejects(() => preparedFrom(server, folder, "cifar10"), FormatError, "Cannot unpack");
    assertEquals(
      error.message.endsWith(
        `removed ${NAME} (from ${server.address}/${NAME}): run the command again to download anew`,
      ),
      true,
      error.message,
    );
    assertEquals(tree(folder).some((path) => path.endsWith(NAME)), false);
    files[`/${NAME}`] = GOOD;
    const { files: recorded } = await preparedFrom(server, folder, "cifar10");
    assertEquals(recorded[0].bytes, GOOD.length);
  }));

Deno.test("prepare() leaves archives alone that lie in the folder, whatever they hold", () =>
  inTemporaryFolder(async (folder) => {
    await Deno.writeFile(`${folder}/${NAME}`, HTML);
    await assertRejects(() => prepared(folder, "cifar10", {}), FormatError, "Cannot unpack");
    assertEquals(await Deno.readFile(`${folder}/${NAME}`), HTML);
  }));

Deno.test("prepare() takes up a finished download only of the address that is asked for", () =>
  inTemporaryFolder(async (folder) => {
    const flowers = { "/imagelabels.mat": Uint8Array.of(1), "/setid.mat": Uint8Array.of(2) };
    // The third file is missing, so that both servers leave two.
    await using first = serve(flowers);
    await using second = serve({ ...flowers, "/setid.mat": Uint8Array.of(3, 4) });
    const attempt = (server: typeof first) =>
      assertRejects(() => preparedFrom(server, folder, "oxford102flowers"), Error, "answers 404");
    await attempt(first);
    await attempt(first);
    const asked = ["/imagelabels.mat", "/setid.mat", "/102flowers.tgz"];
    const unique = (requests: readonly string[]) => requests.filter((path) => /^\S+$/.test(path));
    assertEquals(unique(first.requests), [...asked, "/102flowers.tgz"]);
    await attempt(second);
    assertEquals(unique(second.requests), asked);
    const kept = tree(folder).find((path) => path.endsWith("setid.mat"))!;
    assertEquals(await Deno.readFile(`${folder}/${kept}`), Uint8Array.of(3, 4));
  }));

Deno.test("prepare() fetches anew under a digest what was downloaded without one and differs", () =>
  inTemporaryFolder(async (folder) => {
    const files: Record<string, Uint8Array> = {};
    const mat = new Uint8Array([1, 2, 3]), hex = createHash("md5").update(mat).digest("hex");
    const [labels, ...others] = SOURCES.oxford102flowers.files;
    const source: Source = {
      ...SOURCES.oxford102flowers,
      files: [{ ...labels, digest: { algorithm: "md5", hex } }, ...others],
    };
    await using server = serve(files);
    files["/imagelabels.mat"] = HTML;
    const attempt = (unverified: boolean) =>
      assertRejects(
        () => preparedFrom(server, folder, "oxford102flowers", { source, unverified }),
        Error,
        "answers 404",
      );
    await attempt(true);
    files["/imagelabels.mat"] = mat;
    await attempt(false);
    const kept = tree(folder).find((path) => path.endsWith("imagelabels.mat"))!;
    assertEquals(await Deno.readFile(`${folder}/${kept}`), mat);
  }));

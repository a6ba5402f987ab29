import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { describeContents } from "../../lib/data/file_contents.ts";
import { openImageFolder } from "../../lib/data/file_stream.ts";
import { openStl10 } from "../../lib/data/stl10.ts";
import { JPEG, writeTree } from "./arrays.ts";
import { inTemporaryFolder } from "./helpers.ts";

/** The file with one bit changed; its time stays. */
async function touch(path: string, at: number): Promise<void> {
  const bytes = await Deno.readFile(path), { mtime } = await Deno.stat(path);
  bytes[at] ^= 1;
  await Deno.writeFile(path, bytes);
  await Deno.utime(path, mtime!, mtime!);
}

Deno.test("openImageFolder() has another hash once one bit of an image changes, and the same elsewhere", () =>
  inTemporaryFolder(async (folder) => {
    const hashOf = async (root: string) =>
      (await openImageFolder(root, { name: "images", fit: { size: 8, resize: "crop" } })).hash;
    for (const name of ["here", "there"]) await writeTree(`${folder}/${name}`, { "a/1.jpg": JPEG, "b/2.jpg": JPEG });
    const before = await hashOf(`${folder}/here`);
    assertEquals(await hashOf(`${folder}/there`), before);
    await touch(`${folder}/here/b/2.jpg`, JPEG.length >> 1);
    assertNotEquals(await hashOf(`${folder}/here`), before);
    await touch(`${folder}/here/b/2.jpg`, JPEG.length >> 1);
    assertEquals(await hashOf(`${folder}/here`), before);
  }));

Deno.test("openStl10() has another hash once one bit of an image changes", () =>
  inTemporaryFolder(async (folder) => {
    await writeTree(folder, { "unlabeled_X.bin": new Uint8Array(2 * 27648) });
    const hashOf = async () => (await openStl10(folder, "unlabelled", { size: 96, resize: "squash" })).hash;
    const before = await hashOf();
    await touch(`${folder}/unlabeled_X.bin`, 40000);
    assertNotEquals(await hashOf(), before);
  }));

Deno.test("describeContents() reads all files up to its limit, and every nth of more", () =>
  inTemporaryFolder(async (folder) => {
    const files = Array.from({ length: 7 }, (_, index) => ({ path: `${folder}/${index}`, size: 1_500_000 }));
    for (const { path, size } of files) await Deno.writeFile(path, new Uint8Array(size));
    const total = 7 * 1_500_000;
    /** Which files a limit covers: those whose change is noticed. */
    const covered = async (limit: number) => {
      const before = describeContents(files, limit), noticed: number[] = [];
      for (const [index, { path, size }] of files.entries()) {
        await touch(path, size - 1);
        if (describeContents(files, limit) !== before) noticed.push(index);
        await touch(path, size - 1);
      }
      return noticed;
    };
    assertEquals(await covered(total), [0, 1, 2, 3, 4, 5, 6]);
    assertEquals(await covered(total - 1), [0, 2, 4, 6]);
    assertEquals(await covered(total / 3), [0, 3, 6]);
    assertEquals(describeContents(files), describeContents(files, total));
    assertNotEquals(describeContents(files, total), describeContents(files, total - 1));
    assertThrows(() => describeContents([{ path: `${folder}/none`, size: 1 }]), Deno.errors.NotFound);
  }));

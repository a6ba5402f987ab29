import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  exists,
  nearestFolder,
  readBelow,
  readInput,
  removeLeftovers,
  removeUnfinished,
  writeAllWhole,
  writeWhole,
} from "../../tasks/cli/files.ts";
import { namesIn, withFolder } from "./run_cli.ts";

const bytes = new Uint8Array([1, 2, 3]);

Deno.test("writeWhole() writes all bytes and leaves no other file", async () => {
  await withFolder(async (folder) => {
    await writeWhole(`${folder}/a`, bytes, false);
    assertEquals(await Deno.readFile(`${folder}/a`), bytes);
    assertEquals(namesIn(folder), ["a"]);
  });
});

Deno.test("writeWhole() replaces a file only when it may", async () => {
  await withFolder(async (folder) => {
    await writeWhole(`${folder}/a`, bytes, false);
    await assertRejects(() => writeWhole(`${folder}/a`, new Uint8Array(9), false), Error, "it exists");
    assertEquals(await Deno.readFile(`${folder}/a`), bytes);
    await writeWhole(`${folder}/a`, new Uint8Array(9), true);
    assertEquals((await Deno.readFile(`${folder}/a`)).length, 9);
    assertEquals(namesIn(folder), ["a"]);
  });
});

Deno.test("writeWhole() names a folder that does not exist, and a path that is a folder", async () => {
  await withFolder(async (folder) => {
    await assertRejects(
      () => writeWhole(`${folder}/none/a`, bytes, false),
      Error,
      `Cannot write ${folder}/none/a: there is no such file or folder, and an existing folder is required`,
    );
    await Deno.mkdir(`${folder}/sub`);
    await assertRejects(() => writeWhole(`${folder}/sub`, bytes, true), Error, `Cannot write ${folder}/sub: `);
    assertEquals(namesIn(folder), ["sub"]);
  });
});

Deno.test("writeAllWhole() writes none of several files where one cannot be written", async () => {
  await withFolder(async (folder) => {
    const files = new Map([[`${folder}/a`, bytes], [`${folder}/none/b`, bytes]]);
    await assertRejects(() => writeAllWhole(files, false), Error, "none/b");
    assertEquals(namesIn(folder), []);
    await writeWhole(`${folder}/b`, bytes, false);
    await assertRejects(() => writeAllWhole(new Map([[`${folder}/a`, bytes], [`${folder}/b`, bytes]]), false), Error);
    assertEquals(namesIn(folder), ["b"]);
  });
});

Deno.test("removeUnfinished() deletes a file that is being written", async () => {
  await withFolder(async (folder) => {
    const writing = writeWhole(`${folder}/a`, new Uint8Array(2 ** 22), false);
    while (namesIn(folder).length === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    removeUnfinished();
    assertEquals(namesIn(folder), []);
    await assertRejects(() => writing, Error, "Cannot write");
    assertEquals(namesIn(folder), []);
  });
});

Deno.test("writeWhole() removes what a killed process left of the same file, and nothing else", async () => {
  await withFolder(async (folder) => {
    const others = ["a.b.0123abcd.partial", "a.partial", "b.0123abcd.partial", "a.0123abcd.partial.json"];
    for (const name of ["a.0123abcd.partial", "a.ffffffff.partial", ...others]) {
      await Deno.writeFile(`${folder}/${name}`, bytes);
    }
    await assertRejects(() => writeWhole(`${folder}/none/a`, bytes, true));
    assertEquals(namesIn(folder).length, 6);
    await writeWhole(`${folder}/a`, bytes, true);
    assertEquals(namesIn(folder), ["a", ...others].sort());
    await removeLeftovers(folder);
    assertEquals(namesIn(folder), ["a", "a.0123abcd.partial.json", "a.partial"]);
  });
});

Deno.test("writeWhole() leaves what its own process is still writing", async () => {
  await withFolder(async (folder) => {
    const large = writeWhole(`${folder}/a`, new Uint8Array(2 ** 25), true);
    while (namesIn(folder).length === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    await Promise.all([large, writeWhole(`${folder}/a`, bytes, true), removeLeftovers(folder)]);
    assertEquals(namesIn(folder), ["a"]);
  });
});

Deno.test("readInput() says why a file cannot be read", async () => {
  await withFolder(async (folder) => {
    await assertRejects(
      () => readInput(`${folder}/none`, "a checkpoint"),
      Error,
      `Cannot read ${folder}/none as a checkpoint: there is no such file or folder, and an existing file is required`,
    );
    await assertRejects(() => readInput(folder, "a checkpoint"), Error, "it is a folder");
  });
});

Deno.test("exists() tells files and folders from nothing", async () => {
  await withFolder(async (folder) => {
    assertEquals(await exists(folder), true);
    assertEquals(await exists(`${folder}/none`), false);
  });
});

Deno.test("nearestFolder() is the folder itself, or the one in which it would be made", async () => {
  await withFolder(async (folder) => {
    assertEquals(await nearestFolder(folder), folder);
    assertEquals(await nearestFolder(`${folder}/a/b/`), folder);
    assertEquals(await nearestFolder("no-such-run"), ".");
    assertEquals(await nearestFolder("/no-such-run"), "/");
  });
});

Deno.test({
  name: "readBelow() reads ordinary files only: no folder, no pipe, nothing outside",
  ignore: Deno.build.os === "windows",
  async fn() {
    await withFolder(async (folder) => {
      Deno.mkdirSync(`${folder}/model/part`, { recursive: true });
      Deno.writeFileSync(`${folder}/model/weights`, Uint8Array.of(1, 2));
      Deno.symlinkSync(`${folder}/model`, `${folder}/outside`);
      Deno.symlinkSync(`${folder}/model/weights`, `${folder}/model/part/link`);
      assertEquals([...await readBelow(`${folder}/model`, "weights", "a part")], [1, 2]);
      const { success } = await new Deno.Command("mkfifo", { args: [`${folder}/model/pipe`] }).output();
      assertEquals(success, true);
      const refused = async (name: string, message: string, below = `${folder}/model`) =>
        assertStringIncludes((await assertRejects(() => readBelow(below, name, "a part"), Error)).message, message);
      await refused("pipe", "it is a pipe or a device, and an ordinary file is required");
      await refused("part", "it is a folder, and an existing file is required");
      await refused("absent", "there is no such file or folder");
      await refused("link", "and a file inside", `${folder}/model/part`);
      assertEquals([...await readBelow(`${folder}/outside`, "weights", "a part")], [1, 2]);
    });
  },
});

import { assert, assertEquals, assertThrows } from "@std/assert";
import { type ImageRequest, planImages, poolOf } from "../../lib/gpu/image_plan.ts";
import type { LaunchBindings } from "../../lib/gpu/images.ts";
import { hash32 } from "../reference/hashed.ts";

/** Stands for a buffer, of which a plan asks only whether it is the same. */
const buffers = Array.from({ length: 5 }, (_, i) => ({ label: `buffer ${i}` }) as GPUBuffer);

/** Uniform in [0, 1). */
const unit = (seed: number, index: number) => hash32(seed, index) / 2 ** 32;

/** A quarter, half or whole of a buffer of 64 bytes. */
function rangeOf(seed: number, salt: number) {
  const size = [16, 32, 64][Math.floor(3 * unit(seed, salt))];
  const offset = size * Math.floor(64 / size * unit(seed, salt + 1));
  return { buffer: buffers[Math.floor(5 * unit(seed, salt + 2))], offset, size };
}

/** Launches that read up to two ranges as images and write one or two. */
function launchesOf(seed: number): LaunchBindings[] {
  return Array.from({ length: 30 }, (_, launch) => {
    const at = 100 * launch, reads = Math.floor(3 * unit(seed, at));
    const images = Array.from({ length: reads }, (_, index): ImageRequest => {
      const range = rangeOf(seed, at + 10 * (index + 1));
      const format = unit(seed, at + 40 + index) < 0.8 ? "rgba32float" : "rgba16float";
      return { index, range, texels: range.size / 16, format };
    });
    const written = Array.from({ length: 1 + launch % 2 }, (_, i) => rangeOf(seed, at + 50 + 10 * i));
    return { images, buffers: unit(seed, at + 90) < 0.5 ? [] : written };
  });
}

/** What a launch finds in its images, as the numbers of the launches that wrote each byte last. */
function simulate(launches: readonly LaunchBindings[]): { copies: number } {
  const pool = poolOf(launches.flatMap(({ images }) => images)), plan = planImages(launches, pool);
  const memory = new Map(buffers.map((buffer) => [buffer, new Array(64).fill(-1)]));
  const held: number[][] = pool.map(() => []);
  const read = ({ range: { buffer, offset, size } }: ImageRequest) => memory.get(buffer)!.slice(offset, offset + size);
  let copies = 0;
  launches.forEach((launch, i) => {
    for (const { image, request } of plan[i].copies) {
      assertEquals(pool[image].format, request.format);
      assert(pool[image].texels >= request.texels);
      held[image] = read(request);
      copies++;
    }
    for (const request of launch.images) assertEquals(held[plan[i].uses.get(request.index)!], read(request));
    for (const { buffer, offset, size } of launch.buffers) memory.get(buffer)!.fill(i, offset, offset + size);
  });
  return { copies };
}

Deno.test("in any order of launches, each finds in its images what its ranges hold at that time", () => {
  let reads = 0, copies = 0;
  for (let seed = 1; seed <= 300; seed++) {
    const launches = launchesOf(seed);
    reads += launches.reduce((sum, { images }) => sum + images.length, 0);
    copies += simulate(launches).copies;
  }
  // Some copies serve more than one launch.
  assert(copies < 0.98 * reads, `${copies} copies for ${reads} images`);
});

Deno.test("a copy serves all launches up to the next write, and moves to where a pass is interrupted anyway", () => {
  const request = (index: number, buffer: number): ImageRequest => ({
    index,
    range: { buffer: buffers[buffer], offset: 0, size: 64 },
    texels: 4,
    format: "rgba32float",
  });
  const write = (buffer: number) => ({ buffer: buffers[buffer], offset: 32, size: 16 });
  const launches: LaunchBindings[] = [
    { images: [request(0, 0)], buffers: [write(3)] },
    { images: [request(0, 1), request(1, 0)], buffers: [write(4)] },
    { images: [request(0, 0)], buffers: [write(0)] },
    { images: [request(0, 0)], buffers: [] },
  ];
  const copied = planImages(launches, poolOf(launches.flatMap(({ images }) => images))).map(({ copies }) =>
    copies.map(({ request }) => request.range.buffer.label)
  );
  assertEquals(copied, [["buffer 0", "buffer 1"], [], [], ["buffer 0"]]);
});

Deno.test("a pool has at most three images of a kind, each as large as the largest", () => {
  const image = (texels: number, format: ImageRequest["format"] = "rgba32float") => ({ texels, format });
  assertEquals(poolOf([image(5)]), [image(5)]);
  assertEquals(poolOf([image(5), image(7), image(6), image(2)]), [image(7), image(7), image(7)]);
  assertEquals(poolOf([image(5), image(20_000), image(3, "rgba16float")]), [
    image(5),
    image(20_000),
    image(3, "rgba16float"),
  ]);
});

Deno.test("a launch that reads more images of a kind than there are is refused", () => {
  const images = [0, 1, 2, 3].map((index): ImageRequest => ({
    index,
    range: { buffer: buffers[index], offset: 0, size: 64 },
    texels: 4,
    format: "rgba32float",
  }));
  assertThrows(() => planImages([{ images, buffers: [] }], poolOf(images)), RangeError, "launch 0: it reads too many");
});

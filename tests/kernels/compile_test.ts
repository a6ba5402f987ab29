import { assert, assertEquals } from "@std/assert";
import { declaredBindings } from "../../kernels/bindings.ts";
import { packBindings } from "../../kernels/half.ts";
import { IMAGE_WIDTH, imageBindings } from "../../kernels/image.ts";
import { expand } from "../../kernels/template.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { gpuTests } from "../gpu/harness.ts";

const FOLDER = new URL("../../kernels/", import.meta.url);
const files = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).filter((name) => name.endsWith(".wgsl")).sort();
const texts = new Map(files.map((file) => [file, Deno.readTextFileSync(new URL(file, FOLDER))]));

const gpuTest = gpuTests();

const withoutComments = (text: string) => text.replace(/\/\/.*$/gm, "");

/** Names that a file without an entry point declares for others. */
function declared(text: string): string[] {
  return [...text.matchAll(/\b(?:fn|struct|alias) (\w+)/g)].map((match) => match[1]);
}

/** The text with each shared file whose functions or types it uses, directly or through another. */
function joined(text: string): string {
  const parts = [text];
  const shared = [...texts.values()].filter((text) => !text.includes("@compute"));
  for (;;) {
    const code = withoutComments(parts.join("\n")), known = new Set(declared(code));
    const missing = (symbol: string) =>
      !known.has(symbol) && new RegExp(`\\b${symbol}\\s*\\(|[:<]\\s*${symbol}\\b`).test(code);
    const used = shared.find((text) => declared(text).some(missing));
    if (used === undefined) return parts.join("\n");
    parts.unshift(used);
  }
}

/** What to compile, by name: each file with an entry point; one that needs a sampler, with each of them. */
const kernels = new Map<string, string>();
for (const [file, text] of texts) {
  if (!text.includes("@compute")) continue;
  if (!/\bproposal\(/.test(text)) kernels.set(file, joined(text));
  else {
    for (const sampler of files.filter((name) => name.startsWith("sampler_"))) {
      kernels.set(`${file} with ${sampler}`, joined(`${texts.get(sampler)}\n${text}`));
    }
  }
}

/** Constants that are numbers with a fraction. */
const FLOATS = new Set([
  "EPS",
  "MOMENTUM",
  "SMOOTHING",
  "CLAMP",
  "PADDING_PSI",
  "CLIP_NORM",
  "FACTOR",
  "VALUE",
  "ALPHA",
  "BETA",
  "LARGEST",
  "BETA_1",
  "BETA_2",
  "TRUST",
]);
/** Sizes where 1 would not be a kernel that anyone builds; all others are 1 but for the flags. */
const SIZES: Record<string, number> = {
  S: 8,
  KL: 2,
  MR: 16,
  CK: 16,
  CN: 64,
  CKT: 16,
  CNT: 64,
  ITEMS: 2,
  COUNT: 999,
  GRID_X: 9,
  THREADS: 128,
  POSITIONS: 2,
  BM: 64,
  BN: 64,
  BK: 16,
  TM: 8,
  TN: 4,
  LEFT_LOADS: 2,
  M: 64,
  N: 64,
  K: 64,
  RIGHT_LOADS: 2,
};
/** Most combinations of flags that are tried. */
const MOST = 64;

/** Values of the names that the kernel's conditions compare, in all combinations. */
function* variants(text: string): Generator<Record<string, number>> {
  const options = new Map<string, number[]>();
  for (const [, condition] of text.matchAll(/^\s*#if (.*)$/gm)) {
    for (const [, name, wanted] of condition.matchAll(/\b([A-Z][A-Z0-9_]*)\b(?: == (\d+))?/g)) {
      const values = options.get(name) ?? [wanted === undefined ? 0 : 1];
      const value = wanted === undefined ? 1 : Number(wanted);
      if (!values.includes(value)) values.push(value);
      options.set(name, values);
    }
  }
  for (const size of ["CK", "KL", "COLUMNS"]) options.delete(size);
  const names = [...options.keys()];
  const total = names.reduce((product, name) => product * options.get(name)!.length, 1);
  for (let combination = 0; combination < Math.min(total, MOST); combination++) {
    let rest = combination;
    yield Object.fromEntries(names.map((name) => {
      const values = options.get(name)!, value = values[rest % values.length];
      rest = Math.floor(rest / values.length);
      return [name, value];
    }));
  }
}

/**
 * Of `prior_step.wgsl`: every phase but the explicit step is one of a prior, and some are of its rows. Tiles of matrix
 * products are loaded by vectors of 4 or by scalars. Of two matrices one at most is transposed; a right one by lanes gives
 * single columns.
 */
function isBuilt(text: string, flags: Readonly<Record<string, number>>): boolean {
  const { PHASE = 0, PRIOR = 1, ROWS_K = 1, NV = 1, LEFT_TRANSPOSED = 0, RIGHT_TRANSPOSED = 0 } = flags;
  if (RIGHT_TRANSPOSED === 1 && (LEFT_TRANSPOSED === 1 || NV > 1)) return false;
  if (NV === 2 && text.includes("right_tile")) return false;
  return (PRIOR === 1 || (PHASE === 0 && ROWS_K === 0)) && (ROWS_K > 0 || PHASE < 2 || PHASE === 3);
}

/** Of `prior_step.wgsl`: the sums that a phase leaves. */
function columnsOf({ PHASE = 0, ROWS_K = 1 }: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return { COLUMNS: { 1: ROWS_K, 3: ROWS_K + 1, 4: ROWS_K * (ROWS_K + 1) / 2 }[PHASE] ?? 0 };
}

/** Of Winograd's weights: channels of whose values an item has a lane's columns. */
function packOf({ AV = 1, NV = 1 }: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return { PACK: AV === 4 ? 4 / NV : 1 };
}

/** Kernels whose first two bindings are read as images where they are read often. */
const READ_AS_IMAGES = /^(conv2d|conv2d_strip|conv2d_winograd|conv2d_(\w+_)?weight_gradient(_strip)?|matmul)\.wgsl$/;

/** What the compiler refuses of a kernel that reads images, of either number of dimensions and format. */
async function refusalOfImages(gpu: Gpu, code: string): Promise<string | undefined> {
  for (const [texels, format] of [[64, "rgba32float"], [9 * IMAGE_WIDTH, "rgba16float"]] as const) {
    const message = await refusal(gpu, imageBindings(code, [0, 1].map((index) => ({ index, texels, format }))));
    if (message !== undefined) return message;
  }
}

async function refusal(gpu: Gpu, code: string): Promise<string | undefined> {
  gpu.device.pushErrorScope("validation");
  gpu.device.createShaderModule({ code });
  return (await gpu.device.popErrorScope())?.message;
}

for (const [file, text] of kernels) {
  gpuTest(`kernels/${file} compiles with each setting of its flags, on f32 and on f16`, async (gpu) => {
    const names = new Set(withoutComments(text).match(/\b[A-Z][A-Z0-9_]*\b/g) ?? []);
    for (const [, name] of text.matchAll(/\bconst (\w+)/g)) names.delete(name);
    const floats = Object.fromEntries([...names].filter((name) => FLOATS.has(name)).map((name) => [name, 0.5]));
    const sizes = Object.fromEntries(
      [...names].filter((name) => !FLOATS.has(name)).map((name) => [name, SIZES[name] ?? 1]),
    );
    // Names with a loop variable behind them are numbered: each loop runs once.
    for (const [, name] of text.matchAll(/\b([A-Z][A-Z0-9_]*)\$[a-z]/g)) sizes[`${name}0`] = 1;
    let tried = 0;
    for (const flags of variants(text)) {
      if (!isBuilt(text, flags)) continue;
      const columns = Object.hasOwn(flags, "PHASE") ? columnsOf(flags) : {};
      const pack = file === "conv2d_winograd.wgsl" ? packOf(flags) : {};
      const code = expand(text, { ...sizes, ...flags, ...columns, ...pack }, floats);
      const message = await refusal(gpu, code);
      assertEquals(message, undefined, `${file} with ${JSON.stringify(flags)}`);
      const wide = [...declaredBindings(code)].filter(([, { width }]) => width > 1).map(([index]) => index);
      const packed = wide.length > 0 ? await refusal(gpu, packBindings(code, wide)) : undefined;
      assertEquals(packed, undefined, `${file} with ${JSON.stringify(flags)} on f16`);
      const images = READ_AS_IMAGES.test(file) ? await refusalOfImages(gpu, code) : undefined;
      assertEquals(images, undefined, `${file} with ${JSON.stringify(flags)} on images`);
      tried++;
    }
    assert(tried > 0);
  });
}

gpuTest("the compiler refuses a broken kernel, so that the tests above can fail", async (gpu) => {
  const text = expand(kernels.get("relu.wgsl")!, {
    COUNT: 1,
    W: 1,
    ITEMS: 1,
    RUN: 1,
    GRID_X: 1,
    BACKWARD: 0,
    ACCUMULATE: 0,
  });
  assertEquals(await refusal(gpu, text), undefined);
  assert((await refusal(gpu, text.replace("first_item(group, lane)", "first_item(group)"))) !== undefined);
});

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, relative } from "@std/path";

const ROOT = fromFileUrl(new URL("../", import.meta.url));

/** What each part may import besides itself and the leaves (errors, tensor, random, deps). */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  tensor: [],
  random: [],
  deps: [],
  kernels: [],
  gpu: ["kernels"],
  ops: ["gpu", "kernels"],
  graph: ["ops", "gpu", "kernels"],
  checkpoint: [],
  data: ["checkpoint"],
  tuning: ["ops", "gpu", "kernels"],
  onnx: ["checkpoint", "graph", "ops", "gpu", "kernels"],
  models: ["onnx", "graph", "ops", "gpu", "kernels", "checkpoint", "data"],
  priors: ["graph", "ops", "gpu", "kernels", "checkpoint"],
  evaluation: [],
  inference: ["models", "priors", "data", "evaluation", "tuning", "graph", "ops", "gpu", "kernels"],
  tasks: [
    "inference",
    "priors",
    "models",
    "onnx",
    "data",
    "evaluation",
    "checkpoint",
    "tuning",
    "graph",
    "ops",
    "gpu",
    "kernels",
  ],
  cli: ["tasks"],
  mod: ["inference", "priors", "models", "onnx", "data", "evaluation", "checkpoint", "tuning", "graph", "ops", "gpu"],
};
const LEAVES = ["errors", "tensor", "random", "deps"];
/** Parts that must run in a browser as they are. */
const PORTABLE = [
  "kernels",
  "gpu",
  "graph",
  "ops",
  "models",
  "priors",
  "inference",
  "evaluation",
  "checkpoint",
  "onnx",
  "tuning",
  "random",
  "errors",
  "tensor",
];

interface Source {
  readonly path: string;
  readonly part: string;
  /** Without comments. */
  readonly code: string;
  readonly imports: readonly string[];
}

/** `lib/gpu/device.ts` belongs to gpu, `lib/errors.ts` to errors, `cli.ts` to cli. */
function partOf(path: string): string {
  const names = path.split("/");
  return (names[0] === "lib" ? names[1] : names[0]).replace(/\.(ts|js|d\.ts)$/, "");
}

function* filesUnder(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (isDirectory) yield* filesUnder(`${folder}/${name}`);
    else yield `${folder}/${name}`;
  }
}

function readSource(file: string): Source {
  const path = relative(ROOT, file);
  const text = Deno.readTextFileSync(file);
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const statements = [
    ...code.matchAll(/^(?:import|export)\s(?:[^;"'`]*?\sfrom\s+)?"([^"]+)"/gm),
    ...code.matchAll(/\bimport\(\s*["`]([^"`]+)["`]/g),
  ];
  return { path, part: partOf(path), code, imports: statements.map(([, specifier]) => specifier) };
}

const everyFile = ["lib", "kernels", "tasks"].flatMap((folder) => [...filesUnder(ROOT + folder)]);
const sources = [...everyFile.filter((file) => /\.(ts|js)$/.test(file)), `${ROOT}cli.ts`, `${ROOT}mod.ts`].map(
  readSource,
);

/** The file that a relative specifier means, from the root. */
function resolve(from: string, specifier: string): string {
  return relative(ROOT, fromFileUrl(new URL(specifier, `file://${ROOT}${from}`)));
}

Deno.test("the source parser sees the imports of every kind", () => {
  const imports = (path: string) => sources.find((source) => source.path === path)!.imports;
  assert(sources.length > 100);
  assert(imports("cli.ts").includes("./tasks/cli/commands.ts"));
  assert(imports("mod.ts").includes("./lib/errors.ts"));
  assert(imports("lib/inference/samplers.ts").includes("../../kernels/sampler_sgd.wgsl"));
  assert(imports("lib/deps.ts").some((specifier) => specifier.startsWith("npm:")));
});

Deno.test("no file imports upward of its layer", () => {
  const wrong: string[] = [];
  for (const { path, part, imports } of sources) {
    const allowed = LAYERS[part];
    if (allowed === undefined) wrong.push(`${path} is in no known layer`);
    for (const specifier of imports.filter((name) => name.startsWith("."))) {
      const target = resolve(path, specifier);
      const to = partOf(target);
      if (to === part || LEAVES.includes(to) && !LEAVES.includes(part)) continue;
      // Settings of the package and the facts that errors and tensors share are for everybody.
      if (target === "deno.json" && (part === "cli" || part === "tasks")) continue;
      if (part === "cli" && to === "errors") continue;
      if (LEAVES.includes(part) && LEAVES.includes(to)) continue;
      if (!allowed?.includes(to)) wrong.push(`${path} (${part}) imports ${target} (${to})`);
    }
  }
  assertEquals(wrong, []);
});

Deno.test("the engine, the mathematics and the file formats use web-standard APIs only", () => {
  const wrong = sources.filter(({ part, code, imports }) =>
    PORTABLE.includes(part) && (/\bDeno\b/.test(code) || imports.some((name) => name.startsWith("node:")))
  );
  assertEquals(wrong.map(({ path }) => path), []);
});

Deno.test("nothing that loads by URL uses a bare specifier; packages have exact versions", () => {
  const wrong = sources.flatMap(({ path, imports }) =>
    imports.filter((name) => !/^(\.{1,2}\/|node:|npm:(@[\w-]+\/)?[\w-]+@\d+\.\d+\.\d+(\/|$))/.test(name))
      .map((name) => `${path}: ${name}`)
  );
  assertEquals(wrong, []);
});

Deno.test("every WGSL file is imported", () => {
  const imported = new Set(
    sources.flatMap(({ path, imports }) =>
      imports.filter((name) => name.endsWith(".wgsl")).map((name) => resolve(path, name))
    ),
  );
  const kernels = everyFile.filter((file) => file.endsWith(".wgsl")).map((file) => relative(ROOT, file));
  assert(kernels.length > 20);
  assertEquals(kernels.filter((path) => !imported.has(path)), []);
});

Deno.test("only tasks and the command line print", () => {
  const wrong = sources.filter(({ part, code }) => part !== "tasks" && part !== "cli" && /\bconsole\./.test(code));
  assertEquals(wrong.map(({ path }) => path), []);
});

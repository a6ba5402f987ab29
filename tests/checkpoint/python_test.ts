import { assertEquals } from "@std/assert";
import { writeNpz } from "../../lib/checkpoint/npy.ts";
import { readTorch, writeTorch } from "../../lib/checkpoint/torch.ts";
import { readCheckpoint } from "../../lib/checkpoint/state_dict.ts";
import type { HostTensor, StateDict } from "../../lib/tensor.ts";
import { everyDType, tensor } from "./fixtures.ts";

const PYTHON = "/usr/bin/python3";
const EXPORTER = new URL("../../tasks/torchvision_to_onnx.py", import.meta.url);

async function python(script: string, ...args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(PYTHON, { args: ["-c", script, ...args] }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

async function imports(module: string): Promise<boolean> {
  try {
    await python(`import ${module}`);
    return true;
  } catch {
    return false;
  }
}

const TORCH = await imports("torch"), NUMPY = await imports("numpy"), TORCHVISION = await imports("torchvision");

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What both sides print of a tensor; floats as their exact decimal values. */
function summary(name: string, { dtype, shape, data }: HostTensor): string {
  const values = Array.from(data as ArrayLike<number | bigint>, (value) => {
    if (dtype === "bool") return value ? "True" : "False";
    if (typeof value === "bigint" || dtype.includes("int")) return String(value);
    return Number.isFinite(value) ? value.toExponential(16) : value > 0 ? "inf" : "-inf";
  });
  return `${name}|${dtype}|${shape.join(",")}|${values.join(" ")}\n`;
}

const SUMMARY = `
import sys
def text(value):
    if isinstance(value, (bool, int)): return str(value)
    if value in (float("inf"), float("-inf")): return str(value)
    digits, power = f"{value:.16e}".split("e")
    return f"{digits}e{int(power):+d}"
def show(name, dtype, shape, values):
    print(name, dtype, ",".join(map(str, shape)), " ".join(map(text, values)), sep="|")
`;

Deno.test({
  name: "writeTorch() writes what torch.load opens: order, types, shapes, values, alignment",
  ignore: !TORCH,
  fn: () =>
    inFolder(async (folder) => {
      const state: StateDict = everyDType();
      await Deno.writeFile(`${folder}/state.pt`, writeTorch(state));
      const printed = await python(
        `${SUMMARY}
import torch
from collections import OrderedDict
state = torch.load(sys.argv[1])
assert type(state) is OrderedDict, type(state)
assert list(torch.load(sys.argv[1], weights_only=True)) == list(state)
for name, t in state.items():
    assert t.is_contiguous() and not t.requires_grad
    show(name, str(t.dtype)[6:], t.shape, t.reshape(-1).tolist())
torch.save(state, sys.argv[2])
torch.save(state, sys.argv[3], _use_new_zipfile_serialization=False)
`,
        ...["state.pt", "again.pt", "again.pth"].map((name) => `${folder}/${name}`),
      );
      assertEquals(printed, [...state].map(([name, value]) => summary(name, value)).join(""));
      for (const name of ["again.pt", "again.pth"]) {
        assertEquals(await readCheckpoint(await Deno.readFile(`${folder}/${name}`), name), state);
      }
    }),
});

Deno.test({
  name: "writeTorch() writes one tensor that torch.load opens",
  ignore: !TORCH,
  fn: () =>
    inFolder(async (folder) => {
      const one = tensor("float32", [2, 3], Float32Array.of(1, 2, 3, 4, 5, 0.1));
      await Deno.writeFile(`${folder}/one.pt`, writeTorch(one));
      const script = `${SUMMARY}
import torch
t = torch.load(sys.argv[1])
show("one", str(t.dtype)[6:], t.shape, t.reshape(-1).tolist())
torch.save(t, sys.argv[1])
`;
      assertEquals(await python(script, `${folder}/one.pt`), summary("one", one));
      assertEquals(readTorch(await Deno.readFile(`${folder}/one.pt`)), one);
    }),
});

Deno.test({
  name: "writeNpz() writes what numpy.load opens without pickles",
  ignore: !NUMPY,
  fn: () =>
    inFolder(async (folder) => {
      const arrays = everyDType();
      arrays.delete("bfloat16");
      await Deno.writeFile(`${folder}/arrays.npz`, writeNpz(arrays));
      const script = `${SUMMARY}
import numpy
with numpy.load(sys.argv[1], allow_pickle=False) as arrays:
    for name in arrays.files:
        a = arrays[name]
        show(name, a.dtype.name, a.shape, a.reshape(-1).tolist())
`;
      const expected = [...arrays].map(([name, value]) => summary(name, value)).join("");
      assertEquals(await python(script, `${folder}/arrays.npz`), expected);
    }),
});

Deno.test({
  name: "tasks/torchvision_to_onnx.py exports every weight of a torchvision network unchanged",
  ignore: !TORCHVISION,
  fn: () =>
    inFolder(async (folder) => {
      const weights = `${folder}/weights.pth`, out = `${folder}/net.onnx`;
      await python(
        `
import sys, torch, torchvision
torch.manual_seed(0)
net = torchvision.models.resnet18(num_classes=3)
for name, t in net.state_dict().items():
    if "running" in name: t.uniform_(0.5, 1.5)
torch.save(net.state_dict(), sys.argv[1])
`,
        weights,
      );
      const { success, stderr } = await new Deno.Command(PYTHON, {
        args: [EXPORTER.pathname, "resnet18", "--weights", weights, "--out", out, "--size", "32"],
      }).output();
      assertEquals(success, true, new TextDecoder().decode(stderr));
      const expected = await readCheckpoint(await Deno.readFile(weights), "weights.pth");
      const found = await readCheckpoint(await Deno.readFile(out), "net.onnx");
      const needed = [...expected.keys()].filter((name) => !name.endsWith("num_batches_tracked"));
      assertEquals([...found.keys()].sort(), needed.sort());
      for (const name of needed) {
        const a = found.get(name)!, b = expected.get(name)!;
        assertEquals([a.dtype, [...a.shape]], [b.dtype, [...b.shape]], name);
        if (!a.data.every((value: number | bigint, i: number) => value === b.data[i])) {
          throw new Error(`${name} differs`);
        }
      }
    }),
});

Deno.test({
  name: "tasks/torchvision_to_onnx.py takes the number of classes from the head of every family",
  ignore: !TORCHVISION,
  fn: () =>
    inFolder(async (folder) => {
      const names = ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "densenet121", "swin_t"];
      const printed = await python(
        `
import importlib.util, sys, torch, torchvision
spec = importlib.util.spec_from_file_location("exporter", sys.argv[1])
exporter = importlib.util.module_from_spec(spec)
spec.loader.exec_module(exporter)
for name in sys.argv[3:]:
    state = getattr(torchvision.models, name)(num_classes=7).state_dict()
    torch.save({"state_dict": {f"module.{key}": tensor for key, tensor in state.items()}}, sys.argv[2])
    built = exporter.build(name, sys.argv[2]).state_dict()
    print(name, all(torch.equal(built[key], tensor) for key, tensor in state.items()))
torch.save({"features": torch.zeros(1)}, sys.argv[2])
try:
    exporter.build("squeezenet1_1", sys.argv[2])
except SystemExit as error:
    print(str(error).split("/")[-1])
`,
        EXPORTER.pathname,
        `${folder}/weights.pth`,
        ...names,
      );
      const refused = "weights.pth has no classifier.1.bias, which says how many classes the network tells apart";
      assertEquals(printed.trim().split("\n"), [...names.map((name) => `${name} True`), refused]);
    }),
});

/**
 * `swagpu doctor`: what this machine computes on, and whether it computes rightly.
 *
 * @module
 */

import { NoAdapterError } from "../../lib/errors.ts";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import { DEVICE_FLAGS, REPORT_FLAGS, TUNING_FLAGS } from "../cli/flag_groups.ts";
import { defineCommand, type FlagsOf } from "../cli/flags.ts";
import type { Io } from "../cli/output.ts";
import { kernelScheduleOf } from "./inputs.ts";
import { selfTest, type SelfTestResult } from "./self_test.ts";
import { tuningState } from "./tuning.ts";

const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupsPerDimension",
] as const;

const BYTE_LIMITS: ReadonlySet<string> = new Set([
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeWorkgroupStorageSize",
]);

/** The table of `doctor`. */
export const command = defineCommand({
  name: "doctor",
  summary: "the adapter, its limits, and a self-test of kernels against the CPU",
  permissions: "",
  flags: { ...DEVICE_FLAGS, tuningCache: TUNING_FLAGS.tuningCache, ...REPORT_FLAGS },
  examples: ["doctor --json"],
});

/** Prints what it finds; resolves to 1 if a kernel fails or there is no adapter. */
export async function run(flags: FlagsOf<typeof command>, io: Io): Promise<number> {
  let gpu: Gpu;
  try {
    gpu = await openGpu({ schedule: kernelScheduleOf(flags) });
  } catch (error) {
    if (!(error instanceof NoAdapterError)) throw error;
    io.result({ ok: false, deno: Deno.version.deno, adapter: null, problems: [error.message] }, [
      `deno      ${Deno.version.deno}`,
      "adapter   none",
      `PROBLEM   ${error.message}`,
    ]);
    return 1;
  }
  using device = gpu;
  const tests = await selfTest(device);
  const problems = tests.filter(({ ok }) => !ok).map(problemOf);
  const remarks = remarksOn(device);
  const facts = factsOf(device), tuning = await tuningState(device, flags.tuningCache, io);
  io.result({ ok: problems.length === 0, ...facts, tuning, selfTest: tests, problems, remarks }, [
    `deno      ${facts.deno}`,
    `adapter   ${facts.adapter.description || facts.adapter.device} (${facts.adapter.vendor || "vendor unknown"})`,
    `features  ${facts.features.join(", ") || "none"}`,
    `subgroup  ${facts.subgroupSize === 0 ? "none" : `${facts.subgroupSize} invocations`}`,
    `kernels   made for ${facts.kernelSchedule === "cpu" ? "CPUs" : "GPUs"}`,
    `tuning    ${tuning.text}`,
    ...Object.entries(facts.limits).map(([name, value]) => `limit     ${name} ${amount(name, value)}`),
    ...tests.map(({ name, ok }) => `kernel    ${name}: ${ok ? "ok" : "FAILED"}`),
    ...remarks.map((remark) => `remark    ${remark}`),
    ...problems.map((problem) => `PROBLEM   ${problem}`),
    problems.length === 0 ? "All is well" : `${problems.length} of ${tests.length} kernels failed`,
  ]);
  return problems.length === 0 ? 0 : 1;
}

function factsOf(gpu: Gpu) {
  return {
    deno: Deno.version.deno,
    adapter: gpu.adapter,
    features: [...gpu.device.features].sort(),
    subgroupSize: gpu.subgroupSize,
    kernelSchedule: gpu.schedule,
    limits: Object.fromEntries(LIMITS.map((limit) => [limit, gpu.device.limits[limit]])),
  };
}

function problemOf({ name, problem }: SelfTestResult): string {
  return `${name}: ${problem}; update the graphics driver, or choose another adapter (on Linux: VK_ICD_FILENAMES)`;
}

/** What is right but slow or tight. */
function remarksOn(gpu: Gpu): string[] {
  const remarks: string[] = [];
  if (gpu.adapter.isCpu) remarks.push("the adapter is the CPU: right, but slow; a GPU's driver makes it faster");
  if (gpu.adapter.isCpu && gpu.adapter.description.includes("256 bits")) {
    remarks.push(
      "with LP_NATIVE_VECTOR_WIDTH=512, and a MESA_SHADER_CACHE_DIR of its own, steps were 1.5 times as fast on an AMD " +
        "processor with AVX-512, and slower on an Intel one: measure yours with deno task bench",
    );
  }
  if (gpu.subgroupSize === 0 && gpu.schedule === "cpu") {
    remarks.push("no subgroup operations: kernels share through workgroup memory, which is slower");
  }
  if (gpu.maxBindingBytes < 2 ** 27) {
    remarks.push(
      `a binding holds ${amount("maxBufferSize", gpu.maxBindingBytes)} only: long vectors are cut into shards`,
    );
  }
  return remarks;
}

function amount(name: string, value: number): string {
  if (!BYTE_LIMITS.has(name)) return String(value);
  return value >= 2 ** 20 ? `${Math.floor(value / 2 ** 20)} MiB` : `${Math.floor(value / 2 ** 10)} KiB`;
}

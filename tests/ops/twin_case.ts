/**
 * Holds an operation on the device to its f64 twin and to PyTorch's records.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Gpu } from "../../lib/gpu/device.ts";
import type { Operation, Tensor as DeviceTensor } from "../../lib/ops/operation.ts";
import { gradientName, operandsOf, recorded } from "../fixtures/fixture.ts";
import { earlierGradient, type GpuTest, type Operand, runOperation } from "../gpu/harness.ts";
import type { Tensor } from "../reference/tensor.ts";
import type { Operands, Twin } from "../reference/twin.ts";
import { assertClose, fixturesOf, normal, plus, WAYS } from "./helpers.ts";

/** Relative errors that float32 may leave. */
export interface Tolerances {
  readonly output: number;
  readonly gradient: number;
}

/** An operation, its twin, and what both are given. */
export interface TwinCase {
  readonly operands: Operands;
  readonly twin: Twin;
  // deno-lint-ignore no-explicit-any
  readonly config: any;
  build(tensors: Readonly<Record<string, DeviceTensor>>): Operation;
  readonly tolerances: Tolerances;
  /** Of operands that do not lie on the device as given. */
  readonly layouts?: Readonly<Record<string, Operand["layout"]>>;
}

function operandsWith(operands: Operands, layouts: TwinCase["layouts"]): Record<string, Operand> {
  return Object.fromEntries(
    Object.entries(operands).map(([name, value]) => [name, { value, layout: layouts?.[name] }]),
  );
}

/** Asserts output and gradients, with and without gradients that are there already, for each way of sharing operands. */
export async function assertEqualsTwin(gpu: Gpu, test: TwinCase): Promise<void> {
  const { operands, twin, config, tolerances } = test;
  const output = twin.forward(operands, config), dOutput = normal(output.shape, 99);
  const gradients = Object.entries(twin.backward(dOutput, operands, config));
  for (const target of Object.values(WAYS)) {
    const run = { operands: operandsWith(operands, test.layouts), build: test.build, dOutput, target };
    const plain = await runOperation(gpu, run);
    const added = await runOperation(gpu, { ...run, accumulate: true });
    assertClose("output", plain.output, output, tolerances.output);
    assertEquals(Object.keys(plain.gradients).sort(), gradients.map(([name]) => name).sort());
    for (const [name, expected] of gradients) {
      assertClose(gradientName(name), plain.gradients[name], expected, tolerances.gradient);
      const sum = plus(expected, earlierGradient(expected.shape));
      assertClose(`added ${gradientName(name)}`, added.gradients[name], sum, Math.max(tolerances.gradient, ADDED));
    }
    // The same sums in the same order: the same bits.
    assertEquals((await runOperation(gpu, run)).gradients, plain.gradients);
  }
}

/** One float32 addition. */
const ADDED = 1e-7;

/** Registers a test of each of PyTorch's records of an operation. */
export function testRecords(
  gpuTest: GpuTest,
  op: string,
  // deno-lint-ignore no-explicit-any
  build: (tensors: Readonly<Record<string, DeviceTensor>>, config: any) => Operation,
  tolerances: Tolerances,
  layouts?: TwinCase["layouts"],
): void {
  for (const [name, fixture] of fixturesOf(op)) {
    gpuTest(`${name}: the operation and its gradients equal PyTorch's`, async (gpu) => {
      const operands = operandsOf(fixture), { config } = fixture;
      const { output, gradients } = await runOperation(gpu, {
        operands: operandsWith(operands, layouts),
        build: (tensors) => build(tensors, config),
        dOutput: recorded(fixture, "dOutput"),
      });
      assertClose("output", output, recorded(fixture, "output"), tolerances.output);
      const wanted = [...fixture.tensors.keys()].filter((key) => /^d[A-Z]/.test(key) && key !== "dOutput");
      assertEquals(Object.keys(gradients).map(gradientName).sort(), wanted.sort());
      for (const [operand, gradient] of Object.entries(gradients)) {
        assertClose(gradientName(operand), gradient, recorded(fixture, gradientName(operand)), tolerances.gradient);
      }
    });
  }
}

/** Operands drawn by seed. */
export function drawn(shapes: Readonly<Record<string, readonly number[]>>): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(shapes).map(([name, shape], i) => [name, normal(shape, i + 1)]));
}

import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../lib/errors.ts";
import {
  DATA_FLAGS,
  DEVICE_FLAGS,
  MODEL_FLAGS,
  OUTPUT_FLAGS,
  SAMPLER_FLAGS,
  TRAINING_FLAGS,
  TUNING_FLAGS,
} from "../../tasks/cli/flag_groups.ts";
import { PRIOR_FLAGS, SWAG_FLAGS } from "../../tasks/cli/prior_flag_groups.ts";
import { defineCommand, flagName, type FlagTable, parseFlags } from "../../tasks/cli/flags.ts";

const command = defineCommand({
  name: "sample",
  summary: "a command that exists for tests only",
  permissions: "",
  flags: {
    priorScale: { type: "number", default: 1, min: 0, group: "G", help: "h" },
    shift: { type: "number", group: "G", help: "h" },
    seed: { type: "integer", default: 1, min: 0, max: 10, group: "G", help: "h" },
    trainDataset: { type: "string", group: "G", help: "h" },
    compat: { type: "boolean", group: "G", help: "h" },
    colour: { type: "boolean", default: true, group: "G", help: "h" },
    priorStep: { type: "choice", choices: ["implicit", "explicit_half"], default: "implicit", group: "G", help: "h" },
    run: { type: "list", group: "G", help: "h" },
  },
});

const needy = defineCommand({
  name: "needy",
  summary: "a command that requires things",
  permissions: "",
  flags: { out: { type: "string", required: true, group: "G", help: "file to write" } },
  operands: { name: "FILE", min: 1, max: 2, help: "h" },
});

function assertUsage(args: string[], message: string): void {
  const error = assertThrows(() => parseFlags(command, args), UsageError);
  assertEquals(error.message, message);
}

Deno.test("parseFlags() fills in defaults", () => {
  assertEquals(parseFlags(command, []), {
    operands: [],
    priorScale: 1,
    shift: undefined,
    seed: 1,
    trainDataset: undefined,
    compat: false,
    colour: true,
    priorStep: "implicit",
    run: [],
  });
});

Deno.test("parseFlags() returns values of the types that the table states", () => {
  const flags = parseFlags(command, []);
  const scale: number = flags.priorScale;
  const shift: number | undefined = flags.shift;
  const step: "implicit" | "explicit_half" = flags.priorStep;
  const runs: readonly string[] = flags.run;
  // @ts-expect-error: a flag without a default may be undefined
  const dataset: string = flags.trainDataset;
  assertEquals([scale, shift, step, runs, dataset], [1, undefined, "implicit", [], undefined]);
});

Deno.test("parseFlags() reads every form of a value", () => {
  const flags = parseFlags(
    command,
    [
      "--prior_scale=1e10",
      "--seed",
      "7",
      "--train-dataset=a=b",
      "--compat",
      "--no-colour",
      "--prior-step",
      "Explicit-Half",
    ],
  );
  assertEquals(flags.priorScale, 1e10);
  assertEquals(flags.seed, 7);
  assertEquals(flags.trainDataset, "a=b");
  assertEquals(flags.compat, true);
  assertEquals(flags.colour, false);
  assertEquals(flags.priorStep, "explicit_half");
});

Deno.test("parseFlags() takes - and _ in names, and leaves values alone", () => {
  const flags = parseFlags(command, ["--train_dataset", "my_set", "--prior-scale", ".5"]);
  assertEquals([flags.trainDataset, flags.priorScale], ["my_set", 0.5]);
});

Deno.test("parseFlags() takes a negative number after a blank", () => {
  assertEquals(parseFlags(command, ["--shift", "-2.5"]).shift, -2.5);
});

Deno.test("parseFlags() reads booleans with a value", () => {
  assertEquals(parseFlags(command, ["--compat=true", "--colour=0"]).compat, true);
  assertEquals(parseFlags(command, ["--compat=true", "--colour=0"]).colour, false);
  assertEquals(parseFlags(command, ["--compat", "--no-compat"]).compat, false);
});

Deno.test("parseFlags() lets the last of a repeated flag count, and gathers a list", () => {
  const flags = parseFlags(command, ["--seed=1", "--run=a,b", "--seed=2", "--run", "c"]);
  assertEquals(flags.seed, 2);
  assertEquals(flags.run, ["a", "b", "c"]);
});

Deno.test("parseFlags() keeps operands in order, also those after --", () => {
  assertEquals(parseFlags(needy, ["a", "--out=o", "--", "--b_c"]).operands, ["a", "--b_c"]);
});

Deno.test("parseFlags() names the nearest flag to an unknown one", () => {
  assertUsage(["--prior-scal=3"], "Cannot use --prior-scal: there is no such flag; the nearest is --prior-scale");
  assertUsage(["--sed", "3"], "Cannot use --sed: there is no such flag; the nearest is --seed");
  assertUsage(
    ["--trian_dataset=x"],
    "Cannot use --trian-dataset: there is no such flag; the nearest is --train-dataset",
  );
  assertThrows(
    () => parseFlags(command, ["-x"]),
    UsageError,
    "Cannot use -x: there is no such flag; the nearest is --",
  );
});

Deno.test("parseFlags() refuses --no- before a flag that is no boolean, and with a value", () => {
  assertUsage(["--no-seed"], "Cannot use --no-seed: there is no such flag; the nearest is --seed");
  assertUsage(["--no-compat=true"], "Cannot use --no-compat: there is no such flag; the nearest is --compat");
});

Deno.test("parseFlags() states what it found and what is required", () => {
  assertUsage(["--prior-scale=big"], 'Cannot use --prior-scale=big: found "big", a number of 0 or more is required');
  assertUsage(["--prior-scale=-1"], 'Cannot use --prior-scale=-1: found "-1", a number of 0 or more is required');
  assertUsage(
    ["--prior-scale=1e999"],
    'Cannot use --prior-scale=1e999: found "1e999", a number of 0 or more is required',
  );
  assertUsage(["--shift=0x10"], 'Cannot use --shift=0x10: found "0x10", a number is required');
  assertUsage(["--shift=NaN"], 'Cannot use --shift=NaN: found "NaN", a number is required');
  assertUsage(["--seed=1.5"], 'Cannot use --seed=1.5: found "1.5", a whole number from 0 to 10 is required');
  assertUsage(["--seed=11"], 'Cannot use --seed=11: found "11", a whole number from 0 to 10 is required');
  assertUsage(["--compat=yes"], 'Cannot use --compat=yes: found "yes", true or false is required');
  assertUsage(
    ["--prior-step=half"],
    'Cannot use --prior-step=half: found "half", one of implicit, explicit_half is required',
  );
});

Deno.test("parseFlags() refuses a flag without its value", () => {
  assertUsage(["--seed"], "Cannot use --seed without a value: found none, a whole number is required");
  assertUsage(["--train-dataset="], "Cannot use --train-dataset without a value: found none, a text is required");
  assertUsage(
    ["--train-dataset", "--compat"],
    "Cannot use --train-dataset without a value: found the flag --compat, a text is required",
  );
});

Deno.test("parseFlags() refuses operands that a command does not take", () => {
  assertUsage(["--compat", "yes"], 'Cannot use "yes": sample takes flags only, each beginning with --');
});

Deno.test("parseFlags() refuses missing flags and wrong numbers of operands", () => {
  assertThrows(() => parseFlags(needy, ["a"]), UsageError, "Cannot run without --out: it is required (file to write)");
  assertThrows(() => parseFlags(needy, ["--out=o"]), UsageError, "Cannot run with 0 FILE: needy takes 1 to 2");
  assertThrows(() => parseFlags(needy, ["a", "b", "c", "--out=o"]), UsageError, "with 3 FILE: needy takes 1 to 2");
});

Deno.test("flagName() spells keys as the command line does", () => {
  assertEquals(["lr", "priorScale", "numOfTrainExamples"].map(flagName), [
    "lr",
    "prior-scale",
    "num-of-train-examples",
  ]);
});

Deno.test("shared flags have defaults that pass their own checks", () => {
  const groups: FlagTable[] = [
    MODEL_FLAGS,
    DATA_FLAGS,
    TRAINING_FLAGS,
    SAMPLER_FLAGS,
    SWAG_FLAGS,
    PRIOR_FLAGS,
    OUTPUT_FLAGS,
    DEVICE_FLAGS,
    TUNING_FLAGS,
  ];
  for (const flags of groups) {
    const table = { name: "group", summary: "", permissions: "", flags };
    for (const [key, flag] of Object.entries(flags)) {
      if (flag.default === undefined) continue;
      assertEquals(parseFlags(table, [`--${flagName(key)}=${flag.default}`])[key], flag.default);
    }
  }
});

Deno.test("parseFlags() tells an optional boolean that is not given from one that is off", () => {
  const value = (...args: string[]) =>
    parseFlags({ name: "c", summary: "", permissions: "", flags: TUNING_FLAGS }, args).autotune;
  assertEquals([value(), value("--autotune"), value("--no-autotune")], [undefined, true, false]);
});

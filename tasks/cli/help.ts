/**
 * What `--help` prints.
 *
 * @module
 */

import { type Command, type Flag, flagName, type FlagTable } from "./flags.ts";
import { range } from "./flag_values.ts";

const WIDTH = 100;

/** The page of one command: usage, permissions, flags by group, examples. */
export function commandHelp(command: Command): string {
  const { name, summary, permissions, operands, flags, examples = [] } = command;
  const operand = operands === undefined ? "" : ` ${operands.name}${operands.max === 1 ? "" : "..."}`;
  const sections = [`swagpu ${name}: ${summary}`, `Usage: deno run ${run(permissions, name)}${operand} [flags]`];
  if (operands !== undefined) sections.push(table(operands.name, [[operands.name, operands.help]]));
  for (const [group, members] of byGroup(flags)) {
    sections.push(table(group, members.map(([key, flag]) => [spelling(key, flag), explanation(flag)])));
  }
  if (examples.length > 0) {
    sections.push(["Examples", ...examples.map((example) => `  deno run ${run(permissions, example)}`)].join("\n"));
  }
  return sections.join("\n\n") + "\n";
}

/** The page without a command. */
export function globalHelp(version: string, commands: readonly Command[]): string {
  return [
    `swagpu ${version}: Bayesian transfer learning with pre-trained priors, on WebGPU`,
    "Usage: deno run [permissions] cli.ts COMMAND [flags]",
    table("Commands", commands.map(({ name, summary }) => [name, summary])),
    table("Everywhere", [
      ["--help, -h", "this page, or with a command its flags and its permissions"],
      ["--version", "the version"],
      ["--debug", "print the stack of an error"],
      ["--job NAME", "the original's spelling: prior, prior_SSL (prior), supervised_bayesian_learning (infer)"],
    ]),
    "Flags take - or _ (--prior-scale, --prior_scale). Exit codes: 0 done, 1 failed, 2 wrong usage, 130 or 143 interrupted.",
  ].join("\n\n") + "\n";
}

/** `-R cli.ts inspect`; without a blank where no permission is needed. */
function run(permissions: string, rest: string): string {
  return [permissions, "cli.ts", rest].filter((part) => part !== "").join(" ");
}

function byGroup(flags: FlagTable): Map<string, [string, Flag][]> {
  return Map.groupBy(Object.entries(flags), ([, flag]) => flag.group);
}

function spelling(key: string, flag: Flag): string {
  const name = `--${flagName(key)}`;
  switch (flag.type) {
    case "boolean":
      return flag.optional ? `${name} | --no-${flagName(key)}` : flag.default ? `--no-${flagName(key)}` : name;
    case "choice":
      return `${name} NAME`;
    case "list":
      return `${name} ${flag.value ?? "TEXT"},...`;
    case "string":
      return `${name} ${flag.value ?? "TEXT"}`;
    default:
      return `${name} ${flag.type === "integer" ? "N" : "X"}`;
  }
}

function explanation(flag: Flag): string {
  const facts: string[] = [];
  if (flag.type === "choice") facts.push(flag.choices.join(" | "));
  if (flag.type === "integer" || flag.type === "number") {
    const { min = -Infinity, max = Infinity } = flag;
    const limits = range(min, max).trim();
    if (limits !== "") facts.push(limits.replace(/^of /, ""));
  }
  if (flag.required) facts.push("required");
  if (flag.default !== undefined && flag.type !== "boolean") facts.push(`default ${flag.default}`);
  return flag.help + (facts.length > 0 ? ` (${facts.join("; ")})` : "");
}

function table(title: string, rows: readonly (readonly [string, string])[]): string {
  const column = Math.min(32, Math.max(...rows.map(([left]) => left.length)) + 4);
  const lines = rows.flatMap(([left, right]) => {
    const [first, ...rest] = wrap(right, WIDTH - column);
    const head = `  ${left}`;
    const indented = rest.map((line) => " ".repeat(column) + line);
    return head.length < column
      ? [head.padEnd(column) + first, ...indented]
      : [head, " ".repeat(column) + first, ...indented];
  });
  return [title, ...lines].join("\n");
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../lib/errors.ts";
import { defineCommand, type FlagTable, parseFlags } from "../../tasks/cli/flags.ts";
import { isAsked, isDefault, refuseUnread } from "../../tasks/cli/unread_flags.ts";

const base = { group: "G", help: "h" };
const TABLE = {
  maxRank: { type: "integer", default: 20, ...base },
  path: { type: "string", ...base },
  switch: { type: "boolean", ...base },
  onByDefault: { type: "boolean", default: true, ...base },
  either: { type: "boolean", optional: true, ...base },
  list: { type: "list", ...base },
} as const satisfies FlagTable;

Deno.test("isDefault() tells what was asked for from what would happen anyway", () => {
  const of = (name: keyof typeof TABLE, value: unknown) => isDefault(TABLE[name], value);
  assertEquals([of("maxRank", 20), of("maxRank", 0), of("maxRank", undefined)], [true, false, true]);
  assertEquals([of("path", undefined), of("path", "p")], [true, false]);
  assertEquals([of("switch", false), of("switch", true)], [true, false]);
  assertEquals([of("onByDefault", true), of("onByDefault", false)], [true, false]);
  assertEquals([of("either", undefined), of("either", false), of("either", true)], [true, true, false]);
  assertEquals([of("list", []), of("list", ["a"])], [true, false]);
});

Deno.test("refuseUnread() names the first flag that is not at its default, as it was given", () => {
  const refuse = (values: Record<string, unknown>) => refuseUnread(TABLE, values, Object.keys(TABLE), "here: why");
  refuse({ maxRank: 20, onByDefault: true, list: [] });
  assertThrows(() => refuse({ maxRank: 2, path: "p" }), UsageError, "Cannot use --max-rank here: why");
  assertThrows(() => refuse({ onByDefault: false }), UsageError, "Cannot use --no-on-by-default here: why");
});

Deno.test("isAsked() tells a flag that the command line gives with its default from one that it leaves out", () => {
  const command = defineCommand({ name: "c", summary: "s", permissions: "", flags: TABLE });
  const asked = (...args: string[]) => {
    const values = parseFlags(command, args);
    return Object.keys(TABLE).filter((name) => isAsked(TABLE, values, name));
  };
  assertEquals(asked(), []);
  assertEquals(asked("--max-rank", "20", "--on-by-default", "--no-switch"), ["maxRank", "switch", "onByDefault"]);
  assertEquals([asked("--either"), asked("--no-either")], [["either"], []]);
  assertThrows(
    () => refuseUnread(TABLE, parseFlags(command, ["--max-rank=20"]), ["path", "maxRank"], "here: why"),
    UsageError,
    "Cannot use --max-rank here: why",
  );
});

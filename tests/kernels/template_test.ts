import { assertEquals, assertThrows } from "@std/assert";
import { type Constants, expand } from "../../kernels/template.ts";

/** The expanded text without the constants' declarations. */
function body(source: string, constants: Constants = {}): string {
  return expand(source, constants).split("\n").slice(Object.keys(constants).length).join("\n");
}

const value = (expression: string, constants: Constants = {}) => Number(body(`$(${expression})`, constants));

Deno.test("expand() declares constants as u32 and floats as f32", () => {
  assertEquals(
    expand("fn f() {}", { ROWS: 3, FLAG: 0 }, { EPS: 1e-5, HALF: 0.5 }),
    "const ROWS = 3u;\nconst FLAG = 0u;\nconst EPS = 9.999999747378752e-6f;\nconst HALF = 5e-1f;\nfn f() {}",
  );
});

Deno.test("expand() puts in values of names and of expressions", () => {
  assertEquals(body("a$N b$(N + 1)c $(N)u d$N$N", { N: 3 }), "a3 b4c 3u d33");
  assertEquals(body("no directive, 100 %"), "no directive, 100 %");
});

Deno.test("expand() evaluates integer expressions with WGSL's precedence", () => {
  assertEquals(value("1 + 2 * 3"), 7);
  assertEquals(value("(1 + 2) * 3"), 9);
  assertEquals(value("((2))"), 2);
  assertEquals(value("10 - 3 - 2"), 5);
  assertEquals(value("17 / 4 * 4 + 17 % 4"), 17);
  assertEquals(value("-7 / 2"), -3);
  assertEquals(value("- 2 * -3"), 6);
  assertEquals(value("1 + 1 == 2 && 3 < 2 || 1 >= 1"), 1);
  assertEquals(value("1 || 0 && 0"), 1);
  assertEquals(value("2 != 2"), 0);
  assertEquals(value("!A + !B", { A: 0, B: 5 }), 1);
  assertEquals(value("3 > 2 == 1"), 1);
  assertEquals(value("2 <= 1"), 0);
  assertEquals(value("SIZE_2 * 2", { SIZE_2: 4 }), 8);
});

Deno.test("expand() repeats #for, nested, and an empty range leaves nothing", () => {
  assertEquals(body("#for i in 0..2\n#for j in i..N\n$i$j\n#end\n-\n#end", { N: 2 }), "00\n01\n-\n11\n-");
  assertEquals(body("a\n#for i in 3..3\n$i\n#end\nb"), "a\nb");
  assertEquals(body("  #for i in 0..(N / 2)\n  x$i;\n  #end", { N: 5 }), "  x0;\n  x1;");
});

Deno.test("expand() hides an outer name inside a loop and gives it back", () => {
  assertEquals(body("#for N in 0..1\n$N\n#end\n$N", { N: 9 }), "0\n9");
});

Deno.test("expand() takes one branch of #if, nested", () => {
  const source = "#if A\n1\n#if B\n2\n#else\n3\n#end\n#else\n#if B\n4\n#end\n5\n#end\n6";
  assertEquals(body(source, { A: 1, B: 1 }), "1\n2\n6");
  assertEquals(body(source, { A: 1, B: 0 }), "1\n3\n6");
  assertEquals(body(source, { A: 0, B: 1 }), "4\n5\n6");
  assertEquals(body(source, { A: 0, B: 0 }), "5\n6");
  assertEquals(body("#if 0\n$(\n#end\nend"), "end");
});

Deno.test("expand() rejects what it cannot carry out, naming it", () => {
  const reject = (source: string, message: string, type: typeof SyntaxError | typeof ReferenceError = SyntaxError) =>
    assertThrows(() => expand(source, { N: 2 }), type, message);
  reject("$M", "M has no value", ReferenceError);
  reject("$toString", "toString has no value", ReferenceError);
  reject("#if M\n#end", "M has no value", ReferenceError);
  reject("$(N + 1", "a closing parenthesis is required");
  reject("$(1.5)", "an integer expression is required");
  reject("$(N +)", "an integer expression is required");
  reject("$(1 2)", "an integer expression is required");
  reject("$(* 2)", "an integer expression is required");
  reject("$ N", "an integer expression is required");
  reject("#if (N\n#end", "an integer expression is required");
  reject("#for i in 0..2\nx", 'opened by "#for i in 0..2" has no #end');
  reject("#if N\n#for i in 0..2\n#end", 'opened by "#if N" has no #end');
  reject("#for i of 0..2\n#end", "#for name in first..bound");
  reject("x\n#end", "no block is open there");
  reject("#else", "no block is open there");
});

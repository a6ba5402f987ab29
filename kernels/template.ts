/**
 * The little that WGSL lacks for fast kernels: sizes known when the pipeline is built, and loops unrolled in the text.
 *
 * naga gives every loop a 64-bit counter that cannot be switched off in Deno, and private arrays with dynamic indices
 * are slow, so inner loops must be written out. A kernel is still one readable `.wgsl` file:
 *
 * ```text
 * #for i in 0..ROWS        the lines up to #end once for each i; nests
 * #if WIDTH == 4           the lines up to #else or #end when the condition is not 0
 * acc$i  $(i * 4 + 1)      the value of a name, of an integer expression
 * ```
 *
 * Names are the constants given to {@linkcode expand} and the loop variables.
 *
 * @module
 */

/** Integer (or boolean, as 0 or 1) constants that a kernel's text may use. */
export type Constants = Readonly<Record<string, number>>;

const TOKEN = /\s*(?:(\d+)|([A-Za-z_]\w*)|(==|!=|<=|>=|&&|\|\||[-+*/%()<>!]))/y;

const PRECEDENCE: readonly Readonly<Record<string, (a: number, b: number) => number>>[] = [
  { "||": (a, b) => a || b ? 1 : 0 },
  { "&&": (a, b) => a && b ? 1 : 0 },
  { "==": (a, b) => Number(a === b), "!=": (a, b) => Number(a !== b) },
  {
    "<": (a, b) => Number(a < b),
    ">": (a, b) => Number(a > b),
    "<=": (a, b) => Number(a <= b),
    ">=": (a, b) => Number(a >= b),
  },
  { "+": (a, b) => a + b, "-": (a, b) => a - b },
  { "*": (a, b) => a * b, "/": (a, b) => Math.trunc(a / b), "%": (a, b) => a % b },
];

/** An integer expression, whose names get their values when it is asked for its own. */
type Expression = (names: Constants) => number;

/** Expressions that were met, by their text: loops meet the same ones again and again. */
const PARSED = new Map<string, Expression>();

/** Value of an integer expression. */
function evaluate(text: string, names: Constants): number {
  let expression = PARSED.get(text);
  if (expression === undefined) PARSED.set(text, expression = parse(text));
  return expression(names);
}

function parse(text: string): Expression {
  const malformed = () => new SyntaxError(`Cannot evaluate "${text}" in a kernel: an integer expression is required`);
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const match = TOKEN.exec(text);
    if (match === null) throw malformed();
    tokens.push(match[1] ?? match[2] ?? match[3]);
  }
  let at = 0;
  const unary = (): Expression => {
    const token = tokens[at++];
    if (token === "-" || token === "!") {
      const operand = unary();
      return token === "-" ? (names) => -operand(names) : (names) => operand(names) ? 0 : 1;
    }
    if (token === "(") {
      const value = binary(0);
      if (tokens[at++] !== ")") throw malformed();
      return value;
    }
    if (token === undefined || !/^\w/.test(token)) throw malformed();
    if (/^\d/.test(token)) return () => Number(token);
    return (names) => {
      if (Object.hasOwn(names, token)) return Number(names[token]);
      throw new ReferenceError(`Cannot evaluate "${text}" in a kernel: ${token} has no value`);
    };
  };
  const binary = (level: number): Expression => {
    if (level === PRECEDENCE.length) return unary();
    let value = binary(level + 1);
    while (tokens[at] in PRECEDENCE[level]) {
      const apply = PRECEDENCE[level][tokens[at++]], left = value, right = binary(level + 1);
      value = (names) => apply(left(names), right(names));
    }
    return value;
  };
  const value = binary(0);
  if (at < tokens.length) throw malformed();
  return value;
}

/** Lines, and what directives do with them. */
type Block =
  | { readonly kind: "line"; readonly text: string }
  | {
    readonly kind: "for";
    readonly name: string;
    readonly first: string;
    readonly bound: string;
    readonly body: readonly Block[];
  }
  | {
    readonly kind: "if";
    readonly condition: string;
    readonly body: readonly Block[];
    readonly otherwise: readonly Block[];
  };

/** The blocks from line `from` on, up to the directive that ends them; its line. */
function blocksFrom(lines: readonly string[], from: number): { readonly blocks: Block[]; readonly end: number } {
  const blocks: Block[] = [];
  for (let index = from; index < lines.length; index++) {
    const line = lines[index], directive = line.trimStart();
    if (!directive.startsWith("#")) blocks.push({ kind: "line", text: line });
    else if (directive.startsWith("#end") || directive.startsWith("#else")) return { blocks, end: index };
    else {
      const { block, end } = blockAt(lines, index, directive);
      blocks.push(block);
      index = end;
    }
  }
  return { blocks, end: lines.length };
}

/** The block that a line opens, and the line of its `#end`. */
function blockAt(
  lines: readonly string[],
  opened: number,
  directive: string,
): { readonly block: Block; readonly end: number } {
  const closed = (end: number, orElse: boolean): boolean => {
    const line = lines[end]?.trimStart() ?? "";
    if (line.startsWith("#end")) return true;
    if (orElse && line.startsWith("#else")) return false;
    throw new SyntaxError(`Cannot expand a kernel: the block opened by "${lines[opened].trim()}" has no #end`);
  };
  if (directive.startsWith("#for")) {
    const match = /^#for\s+(\w+)\s+in\s+(.+?)\.\.(.+)$/.exec(directive);
    if (match === null) {
      throw new SyntaxError(`Cannot expand "${directive.trim()}" in a kernel: "#for name in first..bound" is required`);
    }
    const [, name, first, bound] = match;
    const { blocks: body, end } = blocksFrom(lines, opened + 1);
    closed(end, false);
    return { block: { kind: "for", name, first, bound, body }, end };
  }
  if (!directive.startsWith("#if")) throw noBlock(directive);
  const condition = directive.slice(3);
  const { blocks: body, end: middle } = blocksFrom(lines, opened + 1);
  if (closed(middle, true)) return { block: { kind: "if", condition, body, otherwise: [] }, end: middle };
  const { blocks: otherwise, end } = blocksFrom(lines, middle + 1);
  closed(end, false);
  return { block: { kind: "if", condition, body, otherwise }, end };
}

function noBlock(directive: string): SyntaxError {
  return new SyntaxError(`Cannot expand "${directive.trim()}" in a kernel: no block is open there`);
}

/** A kernel's blocks. */
function blocksOf(source: string): readonly Block[] {
  const lines = source.split("\n");
  const { blocks, end } = blocksFrom(lines, 0);
  if (end < lines.length) throw noBlock(lines[end]);
  return blocks;
}

/** The line with every `$name` and `$(expression)` replaced by its value. */
function substitute(line: string, names: Constants): string {
  let out = "";
  let from = 0;
  for (let at = line.indexOf("$"); at >= 0; at = line.indexOf("$", from)) {
    out += line.slice(from, at);
    const end = endOfExpression(line, at + 1);
    out += String(evaluate(line.slice(at + 1, end), names));
    from = end;
  }
  return out + line.slice(from);
}

/** Where a name, or an expression in parentheses, that begins at `from` ends. */
function endOfExpression(line: string, from: number): number {
  let end = from;
  if (line[from] !== "(") {
    while (/\w/.test(line[end] ?? "")) end++;
    return end;
  }
  for (let depth = 0; end === from || depth > 0; end++) {
    if (end >= line.length) {
      throw new SyntaxError(`Cannot expand "${line.trim()}" in a kernel: a closing parenthesis is required`);
    }
    depth += line[end] === "(" ? 1 : line[end] === ")" ? -1 : 0;
  }
  return end;
}

function expandBlocks(blocks: readonly Block[], names: Constants, out: string[]): void {
  for (const block of blocks) {
    if (block.kind === "line") out.push(block.text.includes("$") ? substitute(block.text, names) : block.text);
    else if (block.kind === "if") {
      expandBlocks(evaluate(block.condition, names) !== 0 ? block.body : block.otherwise, names, out);
    } else {
      const bound = evaluate(block.bound, names);
      for (let i = evaluate(block.first, names); i < bound; i++) {
        expandBlocks(block.body, { ...names, [block.name]: i }, out);
      }
    }
  }
}

/**
 * WGSL from a kernel's text: a `const` for every constant (u32) and every float (f32), then the text, expanded.
 *
 * @throws SyntaxError or ReferenceError where a directive cannot be carried out
 */
export function expand(source: string, constants: Constants, floats: Constants = {}): string {
  const out = Object.entries(constants).map(([name, value]) => `const ${name} = ${value}u;`);
  for (const [name, value] of Object.entries(floats)) {
    out.push(`const ${name} = ${Math.fround(value).toExponential()}f;`);
  }
  expandBlocks(blocksOf(source), constants, out);
  return out.join("\n");
}

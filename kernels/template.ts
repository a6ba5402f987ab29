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

/** Value of an integer expression. */
function evaluate(expression: string, names: Constants): number {
  const malformed = () =>
    new SyntaxError(`Cannot evaluate "${expression}" in a kernel: an integer expression is required`);
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < expression.trimEnd().length) {
    const match = TOKEN.exec(expression);
    if (match === null) throw malformed();
    tokens.push(match[1] ?? match[2] ?? match[3]);
  }
  let at = 0;
  const unary = (): number => {
    const token = tokens[at++];
    if (token === "-") return -unary();
    if (token === "!") return unary() ? 0 : 1;
    if (token === "(") {
      const value = binary(0);
      if (tokens[at++] !== ")") throw malformed();
      return value;
    }
    if (token === undefined || !/^\w/.test(token)) throw malformed();
    if (/^\d/.test(token)) return Number(token);
    if (!Object.hasOwn(names, token)) {
      throw new ReferenceError(`Cannot evaluate "${expression}" in a kernel: ${token} has no value`);
    }
    return Number(names[token]);
  };
  const binary = (level: number): number => {
    if (level === PRECEDENCE.length) return unary();
    let value = binary(level + 1);
    while (tokens[at] in PRECEDENCE[level]) value = PRECEDENCE[level][tokens[at++]](value, binary(level + 1));
    return value;
  };
  const value = binary(0);
  if (at < tokens.length) throw malformed();
  return value;
}

/** Index of the `#end` (or `#else`, where `orElse`) that closes the block opened before `from`. */
function closing(lines: readonly string[], from: number, orElse: boolean): number {
  let depth = 0;
  for (let index = from; index < lines.length; index++) {
    const line = lines[index].trimStart();
    if (line.startsWith("#for") || line.startsWith("#if")) depth++;
    else if (depth === 0 && (line.startsWith("#end") || (orElse && line.startsWith("#else")))) return index;
    else if (line.startsWith("#end")) depth--;
  }
  throw new SyntaxError(`Cannot expand a kernel: the block opened by "${lines[from - 1]?.trim()}" has no #end`);
}

/** The line with every `$name` and `$(expression)` replaced by its value. */
function substitute(line: string, names: Constants): string {
  let out = "";
  let from = 0;
  for (let at = line.indexOf("$"); at >= 0; at = line.indexOf("$", from)) {
    out += line.slice(from, at);
    let end = at + 1;
    if (line[end] === "(") {
      for (let depth = 0; end === at + 1 || depth > 0; end++) {
        if (end >= line.length) {
          throw new SyntaxError(`Cannot expand "${line.trim()}" in a kernel: a closing parenthesis is required`);
        }
        depth += line[end] === "(" ? 1 : line[end] === ")" ? -1 : 0;
      }
    } else {
      while (/\w/.test(line[end] ?? "")) end++;
    }
    out += String(evaluate(line.slice(at + 1, end), names));
    from = end;
  }
  return out + line.slice(from);
}

function expandLines(lines: readonly string[], names: Constants, out: string[]): void {
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index];
    const directive = line.trimStart();
    if (directive.startsWith("#for")) {
      const match = /^#for\s+(\w+)\s+in\s+(.+?)\.\.(.+)$/.exec(directive);
      if (match === null) {
        throw new SyntaxError(`Cannot expand "${line.trim()}" in a kernel: "#for name in first..bound" is required`);
      }
      const [, name, first, bound] = match;
      const end = closing(lines, index + 1, false);
      const body = lines.slice(index + 1, end);
      for (let i = evaluate(first, names); i < evaluate(bound, names); i++) {
        expandLines(body, { ...names, [name]: i }, out);
      }
      index = end;
    } else if (directive.startsWith("#if")) {
      const end = closing(lines, index + 1, false);
      const middle = closing(lines, index + 1, true);
      const taken = evaluate(directive.slice(3), names) !== 0;
      const body = taken ? lines.slice(index + 1, middle) : lines.slice(Math.min(middle + 1, end), end);
      expandLines(body, names, out);
      index = end;
    } else if (directive.startsWith("#")) {
      throw new SyntaxError(`Cannot expand "${line.trim()}" in a kernel: no block is open there`);
    } else {
      out.push(line.includes("$") ? substitute(line, names) : line);
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
  expandLines(source.split("\n"), constants, out);
  return out.join("\n");
}

/**
 * The bindings that a kernel's text declares, and a rewriting of what reads and writes them: how a tensor is stored is no
 * concern of the kernels.
 *
 * @module
 */

/** What a kernel declares of a binding. */
export interface BindingDeclaration {
  readonly name: string;
  /** Numbers in an item where it is of f32; 0 where it is of something else. */
  readonly width: 0 | 1 | 2 | 4;
}

const DECLARATION = /@group\(0\) @binding\((\d+)\) var<storage, read_write> (\w+): array<([\w<>]+)>;/g;
const ALIAS = /\balias (\w+) = ([\w<>]+);/g;
const WIDTHS: Readonly<Record<string, 1 | 2 | 4>> = { "f32": 1, "vec2<f32>": 2, "vec4<f32>": 4 };

/** The bindings that an expanded kernel declares, by index. */
export function declaredBindings(code: string): ReadonlyMap<number, BindingDeclaration> {
  const aliases = new Map([...code.matchAll(ALIAS)].map(([, name, type]) => [name, type]));
  const named = (type: string): string => aliases.has(type) ? named(aliases.get(type)!) : type;
  return new Map([...code.matchAll(DECLARATION)].map(([, index, name, type]) => [
    Number(index),
    { name, width: WIDTHS[named(type)] ?? 0 },
  ]));
}

/** Calls that take the place of accesses to a binding's items. */
export interface Accesses {
  /** Reads the item of an index. */
  read(index: string): string;
  /** Writes an item; absent where a kernel may only read it. */
  write?(index: string, value: string): string;
}

/** Index of the bracket that closes the one at `open`. */
function closingBracket(code: string, open: number): number {
  for (let at = open, depth = 0; at < code.length; at++) {
    if ("([{".includes(code[at])) depth++;
    else if (")]}".includes(code[at]) && --depth === 0) return at;
  }
  throw new SyntaxError("Cannot rewrite a kernel: a bracket is not closed");
}

/** Index of the semicolon that ends the statement in which `from` lies. */
function statementEnd(code: string, from: number): number {
  let at = from;
  while (at < code.length && code[at] !== ";") at = "([{".includes(code[at]) ? closingBracket(code, at) + 1 : at + 1;
  return at;
}

/**
 * The code with every access to a binding, `name[index]`, replaced by a call.
 *
 * @throws SyntaxError where the binding is used otherwise, where a part of an item is written, or an item that may not be
 */
export function replaceAccesses(code: string, name: string, accesses: Accesses): string {
  const used = new RegExp(`(?<![\\w.])${name}\\b\\s*`, "g");
  let out = "";
  for (let from = 0;;) {
    used.lastIndex = from;
    const match = used.exec(code);
    if (match === null) return out + code.slice(from);
    const open = match.index + match[0].length;
    if (code[open] !== "[") {
      const found = code.slice(match.index, code.indexOf("\n", match.index)).trim();
      throw new SyntaxError(
        `Cannot rewrite binding ${name}: found "${found}", but only ${name}[index] can be replaced`,
      );
    }
    const close = closingBracket(code, open);
    const index = `u32(${replaceAccesses(code.slice(open + 1, close), name, accesses)})`;
    const assignment = /^\s*([-+*\/]?)=(?!=)/.exec(code.slice(close + 1));
    if (/^\s*(?:\.\w+|\[\w+\])\s*[-+*\/]?=(?!=)/.test(code.slice(close + 1))) {
      throw new SyntaxError(`Cannot rewrite binding ${name}: a part of an item is written, but only whole ones can be`);
    }
    out += code.slice(from, match.index);
    if (assignment === null) {
      out += accesses.read(index);
      from = close + 1;
      continue;
    }
    if (accesses.write === undefined) {
      throw new SyntaxError(`Cannot rewrite binding ${name}: an item is written, but it can only be read`);
    }
    const start = close + 1 + assignment[0].length, end = statementEnd(code, start);
    const value = replaceAccesses(code.slice(start, end).trim(), name, accesses);
    const operator = assignment[1];
    out += accesses.write(index, operator ? `${accesses.read(index)} ${operator} (${value})` : value);
    from = end;
  }
}

/** A kernel's text before the declaration of a binding, and behind it. */
export function splitAtBinding(
  code: string,
  index: number,
  name: string,
): readonly [before: string, after: string] {
  const declaration = new RegExp(`@group\\(0\\) @binding\\(${index}\\) var<storage, read_write> ${name}: [^;]*;`);
  const [before, after] = code.split(declaration);
  return [before, after];
}

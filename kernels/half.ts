/**
 * Kernels on tensors that are stored as f16, two to a word: the text of a kernel stays as it is, arithmetic stays f32,
 * and only what passes between it and such a binding is rewritten. Needs no feature of the device.
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
  return new Map([...code.matchAll(DECLARATION)].map(([, index, name, type]) => [
    Number(index),
    { name, width: WIDTHS[aliases.get(type) ?? type] ?? 0 },
  ]));
}

/**
 * Two numbers as f16. WGSL leaves open how pack2x16float rounds and what it makes of numbers beyond the range of f16. Here
 * a number is rounded to the nearest f16 first, ties to even (only below 2^-14 the device decides), and what lies beyond is
 * infinite, so that an overflow is seen. By their bits: compilers may assume that nothing is infinite or NaN.
 */
const PACK = `
fn pack_halves(value: vec2<f32>) -> u32 {
  let bits = bitcast<vec2<u32>>(value);
  let magnitude = bits & vec2<u32>(0x7fffffffu);
  let nearest = (bits + vec2<u32>(0xfffu) + ((bits >> vec2<u32>(13u)) & vec2<u32>(1u))) & vec2<u32>(0xffffe000u);
  let rounded = select(bits, nearest, magnitude >= vec2<u32>(0x38800000u));
  let packed = pack2x16float(bitcast<vec2<f32>>(rounded));
  // From 65520 on the nearest f16 is infinite.
  let beyond = magnitude >= vec2<u32>(0x477ff000u);
  if (!any(beyond)) { return packed; }
  let nan = select(vec2<u32>(0u), vec2<u32>(0x200u), magnitude > vec2<u32>(0x7f800000u));
  let infinite = ((bits >> vec2<u32>(16u)) & vec2<u32>(0x8000u)) | vec2<u32>(0x7c00u) | nan;
  let halves = select(vec2<u32>(packed & 0xffffu, packed >> 16u), infinite, beyond);
  return halves.x | (halves.y << 16u);
}`;

/** The declaration of a packed binding, and what reads and writes its items. */
function packedDeclaration(index: number, name: string, width: 2 | 4): string {
  const words = width === 4 ? "vec2<u32>" : "u32";
  const unpacked = width === 4
    ? `let words = ${name}[i];
  return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));`
    : `return unpack2x16float(${name}[i]);`;
  const packed = width === 4 ? "vec2<u32>(pack_halves(value.xy), pack_halves(value.zw))" : "pack_halves(value)";
  return `@group(0) @binding(${index}) var<storage, read_write> ${name}: array<${words}>;
fn unpack_${name}(i: u32) -> vec${width}<f32> {
  ${unpacked}
}
fn pack_${name}(i: u32, value: vec${width}<f32>) { ${name}[i] = ${packed}; }`;
}

/** Index of the bracket that closes the one at `open`. */
function closingBracket(code: string, open: number): number {
  for (let at = open, depth = 0; at < code.length; at++) {
    if ("([{".includes(code[at])) depth++;
    else if (")]}".includes(code[at]) && --depth === 0) return at;
  }
  throw new SyntaxError("Cannot pack a kernel's binding: a bracket is not closed");
}

/** Index of the semicolon that ends the statement in which `from` lies. */
function statementEnd(code: string, from: number): number {
  let at = from;
  while (at < code.length && code[at] !== ";") at = "([{".includes(code[at]) ? closingBracket(code, at) + 1 : at + 1;
  return at;
}

/** The code with every access to a packed binding `name[index]` replaced by a call. */
function replaceAccesses(code: string, name: string): string {
  const used = new RegExp(`(?<![\\w.])${name}\\b\\s*`, "g");
  let out = "";
  for (let from = 0;;) {
    used.lastIndex = from;
    const match = used.exec(code);
    if (match === null) return out + code.slice(from);
    const open = match.index + match[0].length;
    if (code[open] !== "[") {
      const found = code.slice(match.index, code.indexOf("\n", match.index)).trim();
      throw new SyntaxError(`Cannot pack binding ${name}: found "${found}", but only ${name}[index] can be replaced`);
    }
    const close = closingBracket(code, open);
    const index = `u32(${replaceAccesses(code.slice(open + 1, close), name)})`;
    const assignment = /^\s*([-+*\/]?)=(?!=)/.exec(code.slice(close + 1));
    if (/^\s*(?:\.\w+|\[\w+\])\s*[-+*\/]?=(?!=)/.test(code.slice(close + 1))) {
      throw new SyntaxError(`Cannot pack binding ${name}: a part of an item is written, but only whole ones can be`);
    }
    out += code.slice(from, match.index);
    if (assignment === null) {
      out += `unpack_${name}(${index})`;
      from = close + 1;
    } else {
      const start = close + 1 + assignment[0].length, end = statementEnd(code, start);
      const value = replaceAccesses(code.slice(start, end).trim(), name);
      const operator = assignment[1];
      out += `pack_${name}(${index}, ${operator ? `unpack_${name}(${index}) ${operator} (${value})` : value})`;
      from = end;
    }
  }
}

/**
 * An expanded kernel whose bindings of these indices hold f16, two to a word, in place of f32.
 *
 * @throws SyntaxError where a binding has items of a single number (neighbours would share a word), or is used otherwise
 *   than as `name[index]`
 */
export function packBindings(code: string, indices: Iterable<number>): string {
  const declared = declaredBindings(code);
  let packed = code.replace(/\/\/.*$/gm, "");
  for (const index of new Set(indices)) {
    const { name, width } = declared.get(index) ?? { name: String(index), width: 0 };
    if (width !== 2 && width !== 4) {
      throw new SyntaxError(`Cannot pack binding ${name}: items of two or four f32 are required`);
    }
    const declaration = new RegExp(`@group\\(0\\) @binding\\(${index}\\) var<storage, read_write> ${name}: [^;]*;`);
    const [before, after] = packed.split(declaration);
    packed = replaceAccesses(before, name) + packedDeclaration(index, name, width) + replaceAccesses(after, name);
  }
  return packed === code ? code : PACK + packed;
}

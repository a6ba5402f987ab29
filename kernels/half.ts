/**
 * Kernels on tensors that are stored as f16, two to a word: the text of a kernel stays as it is, arithmetic stays f32,
 * and only what passes between it and such a binding is rewritten. Needs no feature of the device.
 *
 * @module
 */

import { declaredBindings, replaceAccesses, splitAtBinding } from "./bindings.ts";

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
    const accesses = {
      read: (item: string) => `unpack_${name}(${item})`,
      write: (item: string, value: string) => `pack_${name}(${item}, ${value})`,
    };
    const [before, after] = splitAtBinding(packed, index, name);
    packed = replaceAccesses(before, name, accesses) + packedDeclaration(index, name, width) +
      replaceAccesses(after, name, accesses);
  }
  return packed === code ? code : PACK + packed;
}

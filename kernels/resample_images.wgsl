// One axis of Pillow's antialiased resizing, in its fixed point: the same bytes. Joined behind elementwise.wgsl.
//
// VERTICAL == 0: images uint8 [B, SOURCE_H, SOURCE_W, 3], of which box rows and columns are read -> [N, SOURCE_H, TO]; rows
// past the box are left alone. Where PACKED, the images are the boxes alone, of at most SOURCE_H x SOURCE_W, and parameters
// FIRST_BYTE and the next say where each begins, above and below 16 bits. VERTICAL == 1: those -> [N, TO, ROW_LENGTH]. A pixel of the results is a word.
// parameters [N, PARAMETERS]: (image, left, top, width, height of the box, ...), see lib/data/augmentation/table.ts.
// weights [sizes from FIRST_FROM on, TO, 2 + TAPS]: first input pixel, number of weights, weights.

@group(0) @binding(0) var<storage, read_write> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(2) var<storage, read_write> weights: array<i32>;
@group(0) @binding(3) var<storage, read_write> output: array<u32>;

fn channels_of(word: u32) -> vec3<i32> { return vec3<i32>(vec3<u32>(word, word >> 8u, word >> 16u) & vec3<u32>(255u)); }

#if !VERTICAL
/// The pixel that begins at a byte: in one word or in two.
fn pixel_at(byte: u32) -> vec3<i32> {
  let shift = (byte % 4u) * 8u;
  return channels_of((source[byte / 4u] >> shift) | (source[(byte + 2u) / 4u] << ((32u - shift) % 32u)));
}
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
#if VERTICAL
    let column = i % ROW_LENGTH;
    let position = i / ROW_LENGTH % TO;
    let n = i / (ROW_LENGTH * TO);
    let size = u32(parameters[n * PARAMETERS + 4u]);
#else
    let position = i % TO;
    let row = i / TO % SOURCE_H;
    let n = i / (TO * SOURCE_H);
    let size = u32(parameters[n * PARAMETERS + 3u]);
    if (row >= u32(parameters[n * PARAMETERS + 4u])) { continue; }
#end
    let entry = ((size - FIRST_FROM) * TO + position) * (2u + TAPS);
    let start = u32(weights[entry]);
    let count = u32(weights[entry + 1u]);
    var sum = vec3<i32>(2097152);
#if VERTICAL
    for (var tap = 0u; tap < count; tap++) {
      sum += weights[entry + 2u + tap] * channels_of(source[(n * SOURCE_H + start + tap) * ROW_LENGTH + column]);
    }
#else
#if PACKED
    let place = n * PARAMETERS + FIRST_BYTE;
    let at = (u32(parameters[place]) << 16u) + u32(parameters[place + 1u]) + (row * size + start) * 3u;
#else
    let image = u32(parameters[n * PARAMETERS]);
    let left = u32(parameters[n * PARAMETERS + 1u]) + start;
    let top = u32(parameters[n * PARAMETERS + 2u]) + row;
    let at = ((image * SOURCE_H + top) * SOURCE_W + left) * 3u;
#end
    for (var tap = 0u; tap < count; tap++) {
      sum += weights[entry + 2u + tap] * pixel_at(at + tap * 3u);
    }
#end
    let bytes = vec3<u32>(clamp(sum >> vec3<u32>(22u), vec3<i32>(0), vec3<i32>(255)));
    output[i] = bytes.x | (bytes.y << 8u) | (bytes.z << 16u);
  }
}

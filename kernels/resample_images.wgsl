// One axis of Pillow's antialiased resizing, in its fixed point: the same bytes. Joined behind elementwise.wgsl.
//
// VERTICAL == 0: images uint8 [B, SOURCE_H, SOURCE_W, 3], of which box rows and columns are read -> [N, SOURCE_H, TO]; rows
// past the box are left alone. Where PACKED, the images are the boxes alone, of at most SOURCE_H x SOURCE_W, and parameters
// FIRST_BYTE and the next say where each begins, above and below 16 bits. VERTICAL == 1: those -> [N, TO, ROW_LENGTH]. A
// pixel of the results is a word.
// parameters [N, PARAMETERS]: (image, left, top, width, height of the box, ...), see lib/data/augmentation/table.ts.
// weights [sizes from FIRST_FROM on, TO, 2 + TAPS]: first input pixel, number of weights, weights.
//
// An item is LINES pixels of one position, which have the same weights: of neighbouring rows, or of columns BLOCKS apart, so
// that neighbouring items are neighbours in memory.

@group(0) @binding(0) var<storage, read_write> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(2) var<storage, read_write> weights: array<i32>;
@group(0) @binding(3) var<storage, read_write> output: array<u32>;

fn parameter(n: u32, index: u32) -> u32 { return u32(parameters[n * PARAMETERS + index]); }

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
    let line = i % BLOCKS;
    let position = i / BLOCKS % TO;
    let n = i / (BLOCKS * TO);
    let size = parameter(n, 4u);
    let lines = u32(ROW_LENGTH);
#else
    let position = i % TO;
    let line = i / TO % BLOCKS * LINES;
    let n = i / (TO * BLOCKS);
    let size = parameter(n, 3u);
    let lines = parameter(n, 4u);
    if (line >= lines) { continue; }
#end
    let entry = ((size - FIRST_FROM) * TO + position) * (2u + TAPS);
    let start = u32(weights[entry]);
    let last = entry + 2u + u32(weights[entry + 1u]);
#if VERTICAL
    let at = (n * SOURCE_H + start) * ROW_LENGTH;
    let apart = 1u;
    let tap_step = u32(ROW_LENGTH);
#else
    let tap_step = 3u;
#if PACKED
    let apart = size * 3u;
    let at = (parameter(n, FIRST_BYTE) << 16u) + parameter(n, FIRST_BYTE + 1u) + start * 3u;
#else
    let apart = SOURCE_W * 3u;
    let at = ((parameter(n, 0u) * SOURCE_H + parameter(n, 2u)) * SOURCE_W + parameter(n, 1u) + start) * 3u;
#end
#end
#for l in 0..LINES
    var sum$l = vec3<i32>(2097152);
    // A line past the end reads the last one and is not written.
    var from$l = at + min(line + $(l)u * APART, lines - 1u) * apart;
#end
    for (var tap = entry + 2u; tap < last; tap++) {
      let weight = weights[tap];
#for l in 0..LINES
#if VERTICAL
      sum$l += weight * channels_of(source[from$l]);
#else
      sum$l += weight * pixel_at(from$l);
#end
      from$l += tap_step;
#end
    }
#for l in 0..LINES
    let line$l = line + $(l)u * APART;
    if (line$l < lines) {
      let bytes$l = vec3<u32>(clamp(sum$l >> vec3<u32>(22u), vec3<i32>(0), vec3<i32>(255)));
#if VERTICAL
      output[(n * TO + position) * ROW_LENGTH + line$l] = bytes$(l).x | (bytes$(l).y << 8u) | (bytes$(l).z << 16u);
#else
      output[(n * SOURCE_H + line$l) * TO + position] = bytes$(l).x | (bytes$(l).y << 8u) | (bytes$(l).z << 16u);
#end
    }
#end
  }
}

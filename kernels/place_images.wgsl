// The first activation of augmented training images: turned, cut out, flipped and normalised as byte * scale + shift per
// colour. COUNT = pixels of the results. Joined behind elementwise.wgsl.
//
// source: a word per pixel [N, SOURCE_H, SOURCE_W] where RESIZED, otherwise uint8 [N, SOURCE_H, SOURCE_W, 3].
// parameters [N, PARAMETERS]: whole numbers, see lib/data/augmentation/placements.ts.
// colours = [scale r, g, b, shift r, g, b]. output [N, OUT_H, OUT_W, 3].

@group(0) @binding(0) var<storage, read_write> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(2) var<storage, read_write> colours: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;

fn parameter(n: u32, index: u32) -> i32 { return i32(parameters[n * PARAMETERS + index]); }

fn outside(y: i32, x: i32) -> bool { return y < 0 || x < 0 || y >= i32(SOURCE_H) || x >= i32(SOURCE_W); }

#if !RESIZED
fn byte_at(index: u32) -> u32 { return (source[index / 4u] >> ((index % 4u) * 8u)) & 255u; }
#end

/// Red, green and blue of a pixel in the lower bytes; black outside.
fn texel(n: u32, y: i32, x: i32) -> u32 {
  if (outside(y, x)) { return 0u; }
  let pixel = (n * SOURCE_H + u32(y)) * SOURCE_W + u32(x);
#if RESIZED
  return source[pixel];
#else
  return byte_at(pixel * 3u) | (byte_at(pixel * 3u + 1u) << 8u) | (byte_at(pixel * 3u + 2u) << 16u);
#end
}

/// The pixel of the turned image.
fn turned(n: u32, y: i32, x: i32) -> u32 {
#if ROTATE
  if (outside(y, x)) { return 0u; }
  let from_x = parameter(n, 11u) * 65536 + parameter(n, 12u) + y * parameter(n, 9u) + x * parameter(n, 8u);
  let from_y = parameter(n, 13u) * 65536 + parameter(n, 14u) + y * parameter(n, 8u) + x * parameter(n, 10u);
  return texel(n, from_y >> 16u, from_x >> 16u);
#else
  return texel(n, y, x);
#end
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    let at_x = i % OUT_W;
    let at_y = i / OUT_W % OUT_H;
    let n = i / (OUT_W * OUT_H);
    let flips = u32(parameter(n, 7u));
    let x = i32(select(at_x, OUT_W - 1u - at_x, (flips & 1u) != 0u)) + parameter(n, 5u);
    let y = i32(select(at_y, OUT_H - 1u - at_y, (flips & 2u) != 0u)) + parameter(n, 6u);
    let word = turned(n, y, x);
#for c in 0..3
    output[i * 3u + $(c)u] = f32((word >> $(8 * c)u) & 255u) * colours[$c] + colours[$(c + 3)];
#end
  }
}

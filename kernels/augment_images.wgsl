// What follows the resizing of an image, by one workgroup: rotation, window, flips; changes of colour in the image's own
// order; greyscale; blur; solarisation; normalisation. Joined behind workgroup_sum.wgsl and colour_jitter.wgsl.
//
// source: a word per pixel [N, SOURCE_H, SOURCE_W] where RESIZED, otherwise uint8 [B, SOURCE_H, SOURCE_W, 3].
// parameters [N, PARAMETERS]: see lib/data/augmentation/table.ts. colours = [scale r, g, b, shift r, g, b] of bytes.
// output [N, OUT_H, OUT_W, 3]; blurred, of the same shape, holds rows on the way through the blur of KERNEL taps.

@group(0) @binding(0) var<storage, read_write> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> parameters: array<f32>;
@group(0) @binding(2) var<storage, read_write> colours: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
#if BLUR
@group(0) @binding(4) var<storage, read_write> blurred: array<f32>;
#end

const PIXELS = OUT_H * OUT_W;

fn parameter(n: u32, index: u32) -> f32 { return parameters[n * PARAMETERS + index]; }

/// A pixel of the (resized) image in [0, 1]; black outside.
fn texel(n: u32, y: i32, x: i32) -> vec3<f32> {
  if (y < 0 || x < 0 || y >= i32(SOURCE_H) || x >= i32(SOURCE_W)) { return vec3<f32>(0.0); }
#if RESIZED
  let word = source[(n * SOURCE_H + u32(y)) * SOURCE_W + u32(x)];
  return vec3<f32>(vec3<u32>(word, word >> 8u, word >> 16u) & vec3<u32>(255u)) / 255.0;
#else
  let at = ((u32(parameter(n, 0u)) * SOURCE_H + u32(y)) * SOURCE_W + u32(x)) * 3u;
  return vec3<f32>(byte_at(at), byte_at(at + 1u), byte_at(at + 2u)) / 255.0;
#end
}

#if !RESIZED
fn byte_at(index: u32) -> f32 { return f32((source[index / 4u] >> ((index % 4u) * 8u)) & 255u); }
#end

/// The pixel of the output at (y, x) before its colours change.
fn placed(n: u32, at_y: u32, at_x: u32) -> vec3<f32> {
  let flips = u32(parameter(n, 7u));
  let x = select(at_x, OUT_W - 1u - at_x, (flips & 1u) != 0u);
  let y = select(at_y, OUT_H - 1u - at_y, (flips & 2u) != 0u);
  let column = i32(x) + i32(parameter(n, 5u));
  let row = i32(y) + i32(parameter(n, 6u));
#if ROTATE
  if (row < 0 || column < 0 || row >= i32(SOURCE_H) || column >= i32(SOURCE_W)) { return vec3<f32>(0.0); }
  let centre = vec2<f32>(f32(SOURCE_W) - 1.0, f32(SOURCE_H) - 1.0) * 0.5;
  let from_centre = vec2<f32>(f32(column), f32(row)) - centre;
  let cosine = parameter(n, 8u);
  let sine = parameter(n, 9u);
  let at = vec2<f32>(
    cosine * from_centre.x - sine * from_centre.y,
    sine * from_centre.x + cosine * from_centre.y,
  ) + centre;
#if SMOOTH
  let corner = floor(at);
  let part = at - corner;
  let cx = i32(corner.x);
  let cy = i32(corner.y);
  return (1.0 - part.y) * ((1.0 - part.x) * texel(n, cy, cx) + part.x * texel(n, cy, cx + 1))
    + part.y * ((1.0 - part.x) * texel(n, cy + 1, cx) + part.x * texel(n, cy + 1, cx + 1));
#else
  return texel(n, i32(round(at.y)), i32(round(at.x)));
#end
#else
  return texel(n, row, column);
#end
}

fn load(at: u32) -> vec3<f32> { return vec3<f32>(output[at], output[at + 1u], output[at + 2u]); }
fn store(at: u32, pixel: vec3<f32>) {
  output[at] = pixel.x;
  output[at + 1u] = pixel.y;
  output[at + 2u] = pixel.z;
}

#if BLUR
/// A Gaussian before it is normalised.
var<workgroup> bell: array<f32, KERNEL>;

/// The position without those outside: mirrored about the first and the last pixel.
fn mirrored(position: i32, size: i32) -> u32 {
  let inside = abs(position);
  return u32(select(inside, 2 * (size - 1) - inside, inside >= size));
}
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let n = group.y * GRID_X + group.x;
  // The groups of the last row that have no image: all of their invocations leave.
  if (n >= IMAGES) { return; }
  let base = n * PIXELS * 3u;
  for (var i = lane; i < PIXELS; i += 64u) { store(base + i * 3u, placed(n, i / OUT_W, i % OUT_W)); }
#if JITTER
#for step in 0..4
  {
    let change = u32(parameter(n, $(13 + step)u));
    let factor = parameter(n, $(17 + step)u);
    // Every invocation must reach the sum's barriers, whatever the image's order.
    var sum = 0.0;
    if (change == 2u) { for (var i = lane; i < PIXELS; i += 64u) { sum += luminance(load(base + i * 3u)); } }
    let mean = workgroup_sum(sum, lane) / f32(PIXELS);
    if (change != 0u) {
      for (var i = lane; i < PIXELS; i += 64u) {
        let at = base + i * 3u;
        var pixel = load(at);
        switch (change) {
          case 1u: { pixel = clamp(pixel * factor, vec3<f32>(0.0), vec3<f32>(1.0)); }
          case 2u: { pixel = blend(pixel, vec3<f32>(mean), factor); }
          case 3u: { pixel = blend(pixel, vec3<f32>(luminance(pixel)), factor); }
          default: { pixel = shift_hue(pixel, factor); }
        }
        store(at, pixel);
      }
    }
  }
#end
#end
#if GREY
  if (parameter(n, 10u) != 0.0) {
    for (var i = lane; i < PIXELS; i += 64u) {
      let at = base + i * 3u;
      store(at, vec3<f32>(luminance(load(at))));
    }
  }
#end
#if BLUR
  let sigma = parameter(n, 12u);
  if (sigma > 0.0) {
    for (var tap = lane; tap < KERNEL; tap += 64u) {
      let distance = (f32(tap) - f32(KERNEL / 2u)) / sigma;
      bell[tap] = exp(-0.5 * distance * distance);
    }
  }
  storageBarrier();
  workgroupBarrier();
  if (sigma > 0.0) {
    for (var i = lane; i < PIXELS; i += 64u) {
      var sum = vec4<f32>(0.0);
      for (var tap = 0u; tap < KERNEL; tap++) {
        let column = mirrored(i32(i % OUT_W + tap) - i32(KERNEL / 2u), i32(OUT_W));
        sum += bell[tap] * vec4<f32>(load(base + (i / OUT_W * OUT_W + column) * 3u), 1.0);
      }
      let at = base + i * 3u;
      blurred[at] = sum.x / sum.w;
      blurred[at + 1u] = sum.y / sum.w;
      blurred[at + 2u] = sum.z / sum.w;
    }
  }
  storageBarrier();
  workgroupBarrier();
  if (sigma > 0.0) {
    for (var i = lane; i < PIXELS; i += 64u) {
      var sum = vec4<f32>(0.0);
      for (var tap = 0u; tap < KERNEL; tap++) {
        let row = mirrored(i32(i / OUT_W + tap) - i32(KERNEL / 2u), i32(OUT_H));
        let at = base + (row * OUT_W + i % OUT_W) * 3u;
        sum += bell[tap] * vec4<f32>(blurred[at], blurred[at + 1u], blurred[at + 2u], 1.0);
      }
      store(base + i * 3u, sum.xyz / sum.w);
    }
  }
#end
  let threshold = parameter(n, 11u);
  let scale = vec3<f32>(colours[0], colours[1], colours[2]) * 255.0;
  let shift = vec3<f32>(colours[3], colours[4], colours[5]);
  for (var i = lane; i < PIXELS; i += 64u) {
    let at = base + i * 3u;
    let pixel = load(at);
    store(at, select(pixel, 1.0 - pixel, pixel >= vec3<f32>(threshold)) * scale + shift);
  }
}

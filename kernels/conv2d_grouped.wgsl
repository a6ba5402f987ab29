// 2-D convolution with few channels to a group, for discrete GPUs: output and input gradient.
//
// A tile of a matrix product would be mostly idle, as a column shares nothing with those of other groups. An invocation
// owns POSITIONS positions (which share its weights) of NV columns; lanes lie along the columns, so that loads are
// whole lines. DEPTHWISE == 1: one channel to a group, so that NV columns are NV groups.
//
// Activations [N, H, W, C]; weights [KH, KW, CK, CNT] (output) or transposed to [KH, KW, COUT / G, CIN] (gradient).

#if DEPTHWISE
@group(0) @binding(0) var<storage, read_write> source: array<Columns>;
#else
@group(0) @binding(0) var<storage, read_write> source: array<Channels>;
#end
@group(0) @binding(1) var<storage, read_write> weight: array<Columns>;
@group(0) @binding(2) var<storage, read_write> output: array<Columns>;
#if BIAS
@group(0) @binding(3) var<storage, read_write> bias: array<Columns>;
#end

// Along one axis, the position of the source that position `at` meets at a tap, in x; y is 1 where there is one.
fn source_of(at: u32, tap: u32, size: u32) -> vec2<u32> {
#if INPUT_GRADIENT
  let numerator = i32(at + PAD) - i32(tap * DILATION);
  let found = u32(numerator) / STRIDE;
  let met = numerator >= 0 && u32(numerator) % STRIDE == 0u && found < size;
#else
  let found = at * STRIDE + tap * DILATION - PAD;
  let met = found < size;
#end
  return select(vec2(0u), vec2(found, 1u), met);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let invocation = (group.y * GRID_X + group.x) * 64u + lane;
  if (invocation >= INVOCATIONS) { return; }
  let column = invocation % (CNT / NV);
  let first_row = (invocation / (CNT / NV)) * POSITIONS;
#if !DEPTHWISE
  let channel = ((column * NV) / CN) * (CK / AV);
#end
#for r in 0..POSITIONS
  let row$r = min(first_row + $r, ROWS - 1u);
  let image$r = row$r / (OUTPUT_H * OUTPUT_W);
  var sum$r = Columns(0.0);
#end
  for (var kh = 0u; kh < KH; kh++) {
#for r in 0..POSITIONS
    let h$r = source_of((row$r / OUTPUT_W) % OUTPUT_H, kh, SOURCE_H);
#end
    for (var kw = 0u; kw < KW; kw++) {
#for r in 0..POSITIONS
      let w$r = source_of(row$r % OUTPUT_W, kw, SOURCE_W);
      let inside$r = (h$(r).y & w$(r).y) != 0u;
      let position$r = (image$r * SOURCE_H + h$(r).x) * SOURCE_W + w$(r).x;
#end
#if DEPTHWISE
      let b = weight[(kh * KW + kw) * (CNT / NV) + column];
#for r in 0..POSITIONS
      sum$r += select(Columns(0.0), source[position$r * (CKT / NV) + column], inside$r) * b;
#end
#else
      for (var chunk = 0u; chunk < CK / AV; chunk++) {
#for r in 0..POSITIONS
        let a$r = select(Channels(0.0), source[position$r * (CKT / AV) + channel + chunk], inside$r);
#end
#for u in 0..AV
        {
          let b = weight[((kh * KW + kw) * CK + chunk * AV + $(u)u) * (CNT / NV) + column];
#for r in 0..POSITIONS
#if AV == 4
          sum$r += a$(r)[$u] * b;
#else
          sum$r += a$r * b;
#end
#end
        }
#end
      }
#end
    }
  }
#for r in 0..POSITIONS
  if (first_row + $r < ROWS) {
    let index = row$r * (CNT / NV) + column;
#if ACCUMULATE
    output[index] += sum$r;
#else
#if BIAS
    output[index] = sum$r + bias[column];
#else
    output[index] = sum$r;
#end
#end
  }
#end
}

// Weight gradient of a 2-D convolution with few channels to a group, for discrete GPUs.
//
// An invocation owns one tap, AV input channels and NV columns (DEPTHWISE == 1: NV columns, which are as many groups),
// and one of SPLITS ranges of output positions, fixed by the shape, whose sums reduce_partials.wgsl adds in order. Lanes
// lie along the columns, so that loads are whole lines.
//
// source [N, H, W, CKT]; d_output [N, OH, OW, CNT]; partial [SPLITS, KH, KW, CK, CNT].

#if DEPTHWISE
@group(0) @binding(0) var<storage, read_write> source: array<Columns>;
#else
@group(0) @binding(0) var<storage, read_write> source: array<Channels>;
#end
@group(0) @binding(1) var<storage, read_write> d_output: array<Columns>;
@group(0) @binding(2) var<storage, read_write> partial: array<Columns>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let invocation = (group.z * GRID_X + group.x) * 64u + lane;
  if (invocation >= INVOCATIONS) { return; }
  let split = group.y;
  let column = invocation % (CNT / NV);
#if DEPTHWISE
  let tap = invocation / (CNT / NV);
  var sum0 = Columns(0.0);
#else
  let channel_block = (invocation / (CNT / NV)) % (CK / AV);
  let tap = invocation / ((CNT / NV) * (CK / AV));
  let channel = ((column * NV) / CN) * (CK / AV) + channel_block;
#for c in 0..AV
  var sum$c = Columns(0.0);
#end
#end
  let shift_h = (tap / KW) * DILATION - PAD;
  let shift_w = (tap % KW) * DILATION - PAD;
  let last = min((split + 1u) * SPLIT_ROWS, ROWS);
  for (var row = split * SPLIT_ROWS; row < last; row++) {
    let h = ((row / OUTPUT_W) % OUTPUT_H) * STRIDE + shift_h;
    let w = (row % OUTPUT_W) * STRIDE + shift_w;
    let inside = h < SOURCE_H && w < SOURCE_W;
    let position = select(0u, ((row / (OUTPUT_H * OUTPUT_W)) * SOURCE_H + h) * SOURCE_W + w, inside);
    let b = d_output[row * (CNT / NV) + column];
#if DEPTHWISE
    sum0 += select(Columns(0.0), source[position * (CKT / NV) + column], inside) * b;
#else
    let a = select(Channels(0.0), source[position * (CKT / AV) + channel], inside);
#for c in 0..AV
#if AV == 4
    sum$c += a[$c] * b;
#else
    sum$c += a * b;
#end
#end
#end
  }
#if DEPTHWISE
  partial[(split * (KH * KW) + tap) * (CNT / NV) + column] = sum0;
#else
  let first = (split * (KH * KW) + tap) * CK + channel_block * AV;
#for c in 0..AV
  partial[(first + $(c)u) * (CNT / NV) + column] = sum$c;
#end
#end
}

// Weight gradient of a 2-D convolution as an implicit matrix product that reduces over output positions.
//
// Rows are (tap, input channel), columns are output channels. One workgroup is one subgroup and owns TAPS neighbouring
// taps of a kernel row, MR input channels, S * NV columns and one of SPLITS ranges of positions; ranges are
// fixed by the shape, and reduce_partials.wgsl adds them in order, so the result does not depend on timing.
//
// source [N, H, W, CKT]; d_output [N, OH, OW, CNT]; partial [SPLITS, KH, KW, CK, CNT].

@group(0) @binding(0) var<storage, read_write> source: array<Channels>;
@group(0) @binding(1) var<storage, read_write> d_output: array<Columns>;
@group(0) @binding(2) var<storage, read_write> partial: array<Columns>;

#if !SUBGROUPS
var<workgroup> shared_channels: array<Channels, $(S * TAPS * (MR / AV))>;
#end

@compute @workgroup_size(S)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let tap = group.x % $(KH * KW / TAPS)u * TAPS;
  let channel_block = group.x / $(KH * KW / TAPS)u;
  let column_block = group.y % COLUMN_BLOCKS;
  let channel_group = group.y / COLUMN_BLOCKS;
  let split = group.z;
  let column_in_group = (column_block * S + lane) * NV;
  let column_valid = column_in_group < CN;
  let column = (channel_group * CN + select(0u, column_in_group, column_valid)) / NV;
  let shift_h = i32((tap / KW) * DILATION) - i32(PAD);
  let shift_w = i32((tap % KW) * DILATION) - i32(PAD);
  let channel = (channel_group * CK + channel_block * MR) / AV;
  let last = min((split + 1u) * SPLIT_ROWS, ROWS);

#for m in 0..(TAPS * (MR / AV))
  var sums$m = Weights();
#end
  for (var first = split * SPLIT_ROWS; first < last; first += S) {
    let row = first + lane;
    let h = i32(((row / OUTPUT_W) % OUTPUT_H) * STRIDE) + shift_h;
    let first_w = i32((row % OUTPUT_W) * STRIDE) + shift_w;
    let row_inside = row < last && u32(h) < SOURCE_H;
    let source_row = ((row / (OUTPUT_H * OUTPUT_W)) * SOURCE_H + u32(h)) * SOURCE_W;
#for t in 0..TAPS
    let w$t = u32(first_w + $(t) * i32(DILATION));
    let inside$t = row_inside && w$t < SOURCE_W;
    let address$t = select(0u, (source_row + w$t) * (CKT / AV), inside$t) + channel;
#for j in 0..(MR / AV)
    let a$(t * (MR / AV) + j) = select(Channels(0.0), source[address$t + $j], inside$t);
#end
#end
#if !SUBGROUPS
    workgroupBarrier();
#for j in 0..(TAPS * (MR / AV))
    shared_channels[$j * S + lane] = a$j;
#end
    workgroupBarrier();
#end
#for q in 0..(S / 4)
    {
#for t in 0..4
      let row$t = min(first + $(q * 4 + t)u, ROWS - 1u);
#end
      let b = FourColumns(
#for t in 0..4
        d_output[row$t * (CNT / NV) + column],
#end
      );
#for m in 0..(TAPS * (MR / AV))
      sums$m = plus_outer(
        sums$m,
        b,
#for t in 0..4
#if SUBGROUPS
        subgroupBroadcast(a$m, $(q * 4 + t)u),
#else
        shared_channels[$(m * S + q * 4 + t)],
#end
#end
      );
#end
    }
#end
  }

  if (!column_valid) { return; }
  let first_tap = split * KH * KW + tap;
#for t in 0..TAPS
#for m in 0..(MR / AV)
#for u in 0..AV
  {
    let row = (first_tap + $t) * CK + channel_block * MR + $(m * AV + u);
#if AV == 4
    partial[row * (CNT / NV) + column] = sums$(t * (MR / AV) + m)[$u];
#else
    partial[row * (CNT / NV) + column] = sums$(t * (MR / AV) + m);
#end
  }
#end
#end
#end
}

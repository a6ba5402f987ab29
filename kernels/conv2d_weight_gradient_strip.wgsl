// Weight gradient of a stride-1 2-D convolution. As conv2d_weight_gradient.wgsl, but one workgroup owns all KW taps of
// a kernel row: it loads TW positions of d_output once, and a strip of TW + KW - 1 inputs once, for all of them. Positions
// are taken by fours: those past TW have columns of zero.
//
// source [N, H, W, CKT]; d_output [N, OH, OW, CNT]; partial [SPLITS, KH, KW, CK, CNT]. A split is a range of image
// rows.

@group(0) @binding(0) var<storage, read_write> source: array<Channels>;
@group(0) @binding(1) var<storage, read_write> d_output: array<Columns>;
@group(0) @binding(2) var<storage, read_write> partial: array<Columns>;

#if !SUBGROUPS
var<workgroup> shared_channels: array<Channels, $(S * REGISTERS * (MR / AV))>;
#end

@compute @workgroup_size(S)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let kh = group.x % KH;
  let channel_block = group.x / KH;
  let column_block = group.y % COLUMN_BLOCKS;
  let channel_group = group.y / COLUMN_BLOCKS;
  let split = group.z;
  let column_in_group = (column_block * S + lane) * NV;
  let column_valid = column_in_group < CN;
  let column = (channel_group * CN + select(0u, column_in_group, column_valid)) / NV;
  let channel = (channel_group * CK + channel_block * MR) / AV;
  let last = min((split + 1u) * SPLIT_ROWS, IMAGE_ROWS);

#for m in 0..(KW * (MR / AV))
  var sums$m = Weights();
#end
  for (var row = split * SPLIT_ROWS; row < last; row++) {
    let h = i32(row % OUTPUT_H) + i32(kh) - i32(PAD);
    let source_row = ((row / OUTPUT_H) * SOURCE_H + u32(h)) * SOURCE_W;
    if (u32(h) >= SOURCE_H) { continue; }
    for (var first = 0u; first < OUTPUT_W; first += TW) {
#for j in 0..REGISTERS
      let w$j = i32(first + $(j * S)u + lane) - i32(PAD);
      let inside$j = u32(w$j) < SOURCE_W;
      let address$j = select(0u, (source_row + u32(w$j)) * (CKT / AV), inside$j) + channel;
#for m in 0..(MR / AV)
      let a$(j * (MR / AV) + m) = select(Channels(0.0), source[address$j + $(m)u], inside$j);
#end
#end
#if !SUBGROUPS
      workgroupBarrier();
#for j in 0..REGISTERS
#for m in 0..(MR / AV)
      shared_channels[$(m * S * REGISTERS + j * S)u + lane] = a$(j * (MR / AV) + m);
#end
#end
      workgroupBarrier();
#end
#for q in 0..((TW + 3) / 4)
      {
#for t in 0..4
        let valid$t = $(q * 4 + t)u < TW && first + $(q * 4 + t)u < OUTPUT_W;
        let at$t = (row * OUTPUT_W + select(0u, first + $(q * 4 + t)u, valid$t)) * (CNT / NV) + column;
#end
        let b = FourColumns(
#for t in 0..4
          select(Columns(0.0), d_output[at$t], valid$t),
#end
        );
#for kw in 0..KW
#for m in 0..(MR / AV)
        sums$(kw * (MR / AV) + m) = plus_outer(
          sums$(kw * (MR / AV) + m),
          b,
#for t in 0..4
#if SUBGROUPS
          subgroupBroadcast(a$((q * 4 + t + kw) / S * (MR / AV) + m), $((q * 4 + t + kw) % S)u),
#else
          shared_channels[$(m * S * REGISTERS + q * 4 + t + kw)],
#end
#end
        );
#end
#end
      }
#end
    }
  }

  if (!column_valid) { return; }
  let first_row = (split * KH + kh) * KW * CK + channel_block * MR;
#for kw in 0..KW
#for m in 0..(MR / AV)
#for u in 0..AV
#if AV == 4
  partial[(first_row + $(kw)u * CK + $(m * AV + u)u) * (CNT / NV) + column] = sums$(kw * (MR / AV) + m)[$u];
#else
  partial[(first_row + $(kw)u * CK + $(m)u) * (CNT / NV) + column] = sums$(kw * MR + m);
#end
#end
#end
#end
}

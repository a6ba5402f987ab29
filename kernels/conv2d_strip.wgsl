// Stride-1 2-D convolution as an implicit matrix product over tiles of TR x TW output positions: output and input
// gradient. As conv2d.wgsl, but neighbouring taps share their inputs: a workgroup loads the TR strips of TW + KW - 1
// input positions once for each kernel row and uses them for its KW taps, so that activations are loaded KW times less.
//
// Lanes lie along the columns (output channels); lane l of register j holds strip position j * S + l and broadcasts it.
// Activations [N, H, W, C]; weights [KH, KW, CK, CNT] (output) or transposed to [KH, KW, COUT / G, CIN] (gradient).

#if !SUBGROUPS
var<workgroup> shared_channels: array<Channels, $(S * REGISTERS)>;
#end

@compute @workgroup_size(S)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let place = place_of(group);
  let tile = place.x;
  if (tile >= TILES) { return; }
  let first_w = (tile % TILES_W) * TW;
  let first_h = ((tile / TILES_W) % TILES_H) * TR;
  let image = tile / (TILES_W * TILES_H);
  let column_block = place.y % COLUMN_BLOCKS;
  let channel_group = place.y / COLUMN_BLOCKS;
  let column_in_group = (column_block * S + lane) * NV;
  let column_valid = column_in_group < CN;
  let column = (channel_group * CN + select(0u, column_in_group, column_valid)) / NV;
  let channel = (channel_group * CK) / AV;

#for i in 0..(TR * TW)
  var sum$i = Columns(0.0);
#end
#for j in 0..REGISTERS
  let position$j = $(j * S)u + lane;
  let h$j = i32(first_h + position$j / STRIP);
#if INPUT_GRADIENT
  let w$j = i32(first_w + position$j % STRIP + PAD) - $(KW - 1);
#else
  let w$j = i32(first_w + position$j % STRIP) - i32(PAD);
#end
  let inside$j = position$j < $(TR * STRIP)u && u32(w$j) < SOURCE_W;
#end

  for (var kh = 0u; kh < KH; kh++) {
#if INPUT_GRADIENT
    let shift = i32(PAD) - i32(kh);
#else
    let shift = i32(kh) - i32(PAD);
#end
#for j in 0..REGISTERS
    let loaded$j = inside$j && u32(h$j + shift) < SOURCE_H;
    let row$j = (image * SOURCE_H + u32(h$j + shift)) * SOURCE_W + u32(w$j);
    let address$j = select(0u, row$j * (CKT / AV), loaded$j) + channel;
#end
    let weight_row = kh * (KW * CK * (CNT / NV)) + column;
    for (var chunk = 0u; chunk < CK / AV; chunk++) {
#for j in 0..REGISTERS
      let a$j = select(Channels(0.0), source[address$j + chunk], loaded$j);
#end
#if !SUBGROUPS
      workgroupBarrier();
#for j in 0..REGISTERS
      shared_channels[$(j * S)u + lane] = a$j;
#end
      workgroupBarrier();
#end
#for kw in 0..KW
      {
        let b = Weights(
#for u in 0..AV
          weight[weight_row + ($(kw)u * CK + chunk * AV + $(u)u) * (CNT / NV)],
#end
        );
#for i in 0..(TR * TW)
#if SUBGROUPS
        sum$i = plus_product(sum$i, b, subgroupBroadcast(
          a$(((i / TW) * STRIP + i % TW + kw + INPUT_GRADIENT * (KW - 1 - 2 * kw)) / S),
          $(((i / TW) * STRIP + i % TW + kw + INPUT_GRADIENT * (KW - 1 - 2 * kw)) % S)u
        ));
#else
        sum$i = plus_product(
          sum$i, b, shared_channels[$((i / TW) * STRIP + i % TW + kw + INPUT_GRADIENT * (KW - 1 - 2 * kw))]
        );
#end
#end
      }
#end
    }
  }

  if (!column_valid) { return; }
#if MOMENTS
  var total = Columns(0.0);
  var squares = Columns(0.0);
#end
#for i in 0..(TR * TW)
  if (first_h + $(i / TW)u < OUTPUT_H && first_w + $(i % TW)u < OUTPUT_W) {
    let position = (image * OUTPUT_H + first_h + $(i / TW)u) * OUTPUT_W + first_w + $(i % TW)u;
    let index = position * (CNT / NV) + column;
    write_output(index, column, sum$i);
#if MOMENTS
    let deviation = sum$i - sum0;
    total += deviation;
    squares += deviation * deviation;
#end
  }
#end
#if MOMENTS
  let rows = f32(min($(TR)u, OUTPUT_H - first_h) * min($(TW)u, OUTPUT_W - first_w));
  leave_moments(tile, column, rows, sum0, total, squares);
  if (place.y == 0u && lane == 0u) { counts[tile] = rows; }
#end
}

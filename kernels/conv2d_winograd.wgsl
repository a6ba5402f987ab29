// Stride-1 2-D convolution of KH x 3 taps by Winograd's F(4, 3) along rows: output and input gradient. As
// conv2d_strip.wgsl, but the REGISTERS * S tiles of a workgroup are 4 neighbouring output positions of a row each: 6
// products make what takes 12 there.
//
// Lanes lie along the columns (output channels); lane l of register j loads the 6 inputs of tile j * S + l, and
// broadcasts their values at the 6 points. Sums over taps' rows and channels stay values at points until the end.
// Activations [N, H, W, C]; weight as winograd_weight.wgsl makes it, of transposed weights (gradient).

@compute @workgroup_size(S)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let place = place_of(group);
  let block = place.x;
  if (block >= BLOCKS) { return; }
  let column_in_group = (place.y * S + lane) * NV;
  let column_valid = column_in_group < CN;
  let column = select(0u, column_in_group, column_valid) / NV;

#for i in 0..(6 * REGISTERS * S)
  var sum$i = Columns(0.0);
#end
#for j in 0..REGISTERS
  let tile$j = min(block * (REGISTERS * S) + $(j * S)u + lane, TILES - 1u);
  let first_w$j = i32(tile$j % TILES_W * 4u) - i32(PAD_W);
  let h$j = i32(tile$j / TILES_W % OUTPUT_H);
  let image$j = tile$j / (TILES_W * OUTPUT_H) * SOURCE_H;
#end

  for (var kh = 0u; kh < KH; kh++) {
#if INPUT_GRADIENT
    let shift = i32(PAD) - i32(kh);
#else
    let shift = i32(kh) - i32(PAD);
#end
#for j in 0..REGISTERS
    let row_inside$j = u32(h$j + shift) < SOURCE_H;
    let row$j = (image$j + u32(h$j + shift)) * SOURCE_W;
#for p in 0..6
    let inside$(j * 6 + p) = row_inside$j && u32(first_w$j + $p) < SOURCE_W;
    let address$(j * 6 + p) = select(0u, (row$j + u32(first_w$j + $p)) * (CK / AV), inside$(j * 6 + p));
#end
#end
    for (var chunk = 0u; chunk < CK / AV; chunk++) {
      let weight_chunk = ((place.y * KH + kh) * (CK / AV) + chunk) * (6 * (AV / PACK) * S) + lane;
#for j in 0..REGISTERS
      let values$j = input_values(array<Channels, 6>(
#for p in 0..6
        select(Channels(0.0), source[address$(j * 6 + p) + chunk], inside$(j * 6 + p)),
#end
      ));
#end
#for f in 0..6
      {
#for q in 0..(AV / PACK)
        let g$q = weight[weight_chunk + $((f * (AV / PACK) + q) * S)u];
#end
#if PACK == 2
        let g = Weights(g0.xy, g0.zw, g1.xy, g1.zw);
#else
#if AV / PACK == 4
        let g = Weights(g0, g1, g2, g3);
#else
        let g = g0;
#end
#end
#for i in 0..(REGISTERS * S)
        sum$(f * REGISTERS * S + i) = plus_product(sum$(f * REGISTERS * S + i), g, subgroupBroadcast(values$(i / S)[$f], $(i % S)u));
#end
      }
#end
    }
  }

  if (!column_valid) { return; }
#if MOMENTS
  var rows = 0u;
  var shift = Columns(0.0);
  var total = Columns(0.0);
  var squares = Columns(0.0);
#end
#for i in 0..(REGISTERS * S)
  if (block * (REGISTERS * S) + $(i)u < TILES) {
    let tile = block * (REGISTERS * S) + $(i)u;
    let w = tile % TILES_W * 4u;
    let index = (tile / TILES_W * OUTPUT_W + w) * (CN / NV) + column;
    let p = sum$(REGISTERS * S + i) + sum$(2 * REGISTERS * S + i);
    let q = sum$(REGISTERS * S + i) - sum$(2 * REGISTERS * S + i);
    let r = sum$(3 * REGISTERS * S + i) + sum$(4 * REGISTERS * S + i);
    let s = sum$(3 * REGISTERS * S + i) - sum$(4 * REGISTERS * S + i);
    let y0 = sum$i + p + r;
    let y1 = q + 2.0 * s;
    let y2 = p + 4.0 * r;
    let y3 = q + 8.0 * s + sum$(5 * REGISTERS * S + i);
#if MOMENTS
    rows += min(4u, OUTPUT_W - w);
#end
#if MOMENTS && i == 0
    shift = y0;
#end
#for p in 0..4
    if (w + $(p)u < OUTPUT_W) {
      write_output(index + $(p)u * (CN / NV), column, y$p);
#if MOMENTS
      let deviation = y$p - shift;
      total += deviation;
      squares += deviation * deviation;
#end
    }
#end
  }
#end
#if MOMENTS
  leave_moments(block, column, f32(rows), shift, total, squares);
  if (place.y == 0u && lane == 0u) { counts[block] = f32(rows); }
#end
}

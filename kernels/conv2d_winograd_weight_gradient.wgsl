// Weight gradient of a stride-1 2-D convolution of KH x 3 taps by Winograd's F(3, 4) along rows. As
// conv2d_weight_gradient_strip.wgsl, but a workgroup, which owns the 3 taps of a kernel row, takes S tiles of 4
// neighbouring output positions at a time: 6 products make what takes 12 there.
//
// Lanes lie along the columns; of the inputs lane l loads the 6 of tile l and broadcasts their values at the 6 points.
// source [N, H, W, CK]; d_output [N, OH, OW, CN]; partial [SPLITS, KH, 3, CK, CN]. A split is a range of tiles.

@group(0) @binding(0) var<storage, read_write> source: array<Channels>;
@group(0) @binding(1) var<storage, read_write> d_output: array<Columns>;
@group(0) @binding(2) var<storage, read_write> partial: array<Columns>;

@compute @workgroup_size(S)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let kh = group.x % KH;
  let channel_block = group.x / KH;
  let split = group.z;
  let column_in_group = (group.y * S + lane) * NV;
  let column_valid = column_in_group < CN;
  let column = select(0u, column_in_group, column_valid) / NV;
  let last = min((split + 1u) * SPLIT_TILES, TILES);
#for m in 0..(6 * (MR / AV))
  var sums$m = Weights();
#end
  for (var first = split * SPLIT_TILES; first < last; first += S) {
    let tile = min(first + lane, TILES - 1u);
    let h = i32(tile / TILES_W % OUTPUT_H + kh) - i32(PAD);
    let w = i32(tile % TILES_W * 4u) - i32(PAD);
    let row_inside = u32(h) < SOURCE_H && first + lane < last;
    let row = (tile / (TILES_W * OUTPUT_H) * SOURCE_H + u32(h)) * SOURCE_W;
#for p in 0..6
    let inside$p = row_inside && u32(w + $p) < SOURCE_W;
    let address$p = select(0u, (row + u32(w + $p)) * (CK / AV), inside$p) + channel_block * (MR / AV);
#end
#for m in 0..(MR / AV)
    let values$m = input_values(array<Channels, 6>(
#for p in 0..6
      select(Channels(0.0), source[address$p + $(m)u], inside$p),
#end
    ));
#end
#for q in 0..(S / 4)
    {
#for t in 0..4
      let tile$t = min(first + $(q * 4 + t)u, TILES - 1u);
#if !WHOLE
#for p in 0..4
      let valid$(t)_$p = tile$t % TILES_W * 4u + $(p)u < OUTPUT_W;
      let at$(t)_$p = tile$t / TILES_W * OUTPUT_W + tile$t % TILES_W * 4u + $(p)u;
#end
#end
      let g$t = output_gradient_values(
#for p in 0..4
#if WHOLE
        d_output[(tile$t * 4 + $(p)u) * (CN / NV) + column],
#else
        select(
          Columns(0.0), d_output[select(0u, at$(t)_$p, valid$(t)_$p) * (CN / NV) + column], valid$(t)_$p
        ),
#end
#end
      );
#end
#for f in 0..6
      let g_$f = FourColumns(g0[$f], g1[$f], g2[$f], g3[$f]);
#for m in 0..(MR / AV)
      sums$(f * (MR / AV) + m) = plus_outer(
        sums$(f * (MR / AV) + m),
        g_$f,
#for t in 0..4
        subgroupBroadcast(values$m[$f], $(q * 4 + t)u),
#end
      );
#end
#end
    }
#end
  }

  if (!column_valid) { return; }
  let first_row = (split * KH + kh) * 3 * CK + channel_block * MR;
#for m in 0..(MR / AV)
  {
    let p = (sums$(MR / AV + m) + sums$(2 * (MR / AV) + m)) * (-1.0 / 6.0);
    let q = (sums$(MR / AV + m) - sums$(2 * (MR / AV) + m)) * (-1.0 / 6.0);
    let r = (sums$(3 * (MR / AV) + m) + sums$(4 * (MR / AV) + m)) * (1.0 / 24.0);
    let s = (sums$(3 * (MR / AV) + m) - sums$(4 * (MR / AV) + m)) * (1.0 / 24.0);
    let tap0 = 0.25 * sums$m + p + r;
    let tap1 = q + 2.0 * s;
    let tap2 = p + 4.0 * r + sums$(5 * (MR / AV) + m);
#for k in 0..3
#for u in 0..AV
#if AV == 4
    partial[(first_row + $(k)u * CK + $(m * AV + u)u) * (CN / NV) + column] = tap$k[$u];
#else
    partial[(first_row + $(k)u * CK + $(m)u) * (CN / NV) + column] = tap$k;
#end
#end
#end
  }
#end
}

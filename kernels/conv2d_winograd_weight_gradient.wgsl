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
  let split = group.y;
  let column_in_group = (group.z * S + lane) * NV;
  let column_valid = column_in_group < CN;
  let column = select(0u, column_in_group, column_valid) / NV;
  let last = min((split + 1u) * SPLIT_TILES, TILES);
#for i in 0..(6 * MR)
  var sum$i = Columns(0.0);
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
#for q in 0..(S / TOGETHER)
    {
#for t in 0..TOGETHER
      let tile$t = min(first + $(q * TOGETHER + t)u, TILES - 1u);
#for p in 0..4
#if WHOLE
      let y$(t)_$p = d_output[(tile$t * 4 + $(p)u) * (CN / NV) + column];
#else
      let valid$(t)_$p = tile$t % TILES_W * 4u + $(p)u < OUTPUT_W;
      let at$(t)_$p = tile$t / TILES_W * OUTPUT_W + tile$t % TILES_W * 4u + $(p)u;
      let y$(t)_$p = select(
        Columns(0.0), d_output[select(0u, at$(t)_$p, valid$(t)_$p) * (CN / NV) + column], valid$(t)_$p
      );
#end
#end
      // But for factors, which wait until the sums are there.
      let even$t = y$(t)_0 + y$(t)_2;
      let odd$t = y$(t)_1 + y$(t)_3;
      let far_even$t = y$(t)_0 + 4.0 * y$(t)_2;
      let far_odd$t = 2.0 * y$(t)_1 + 8.0 * y$(t)_3;
      let g$(t)_0 = y$(t)_0;
      let g$(t)_1 = even$t + odd$t;
      let g$(t)_2 = even$t - odd$t;
      let g$(t)_3 = far_even$t + far_odd$t;
      let g$(t)_4 = far_even$t - far_odd$t;
      let g$(t)_5 = y$(t)_3;
#end
#for f in 0..6
#for i in 0..MR
#for t in 0..TOGETHER
#if AV == 4
      sum$(f * MR + i) += subgroupBroadcast(values$(i / AV)[$f][$(i % AV)], $(q * TOGETHER + t)u) * g$(t)_$f;
#else
      sum$(f * MR + i) += subgroupBroadcast(values$i[$f], $(q * TOGETHER + t)u) * g$(t)_$f;
#end
#end
#end
#end
    }
#end
  }

  if (!column_valid) { return; }
  let first_row = (split * KH + kh) * 3 * CK + channel_block * MR;
#for i in 0..MR
  {
    let p = (sum$(MR + i) + sum$(2 * MR + i)) * (-1.0 / 6.0);
    let q = (sum$(MR + i) - sum$(2 * MR + i)) * (-1.0 / 6.0);
    let r = (sum$(3 * MR + i) + sum$(4 * MR + i)) * (1.0 / 24.0);
    let s = (sum$(3 * MR + i) - sum$(4 * MR + i)) * (1.0 / 24.0);
    partial[(first_row + $(i)u) * (CN / NV) + column] = 0.25 * sum$i + p + r;
    partial[(first_row + CK + $(i)u) * (CN / NV) + column] = q + 2.0 * s;
    partial[(first_row + 2 * CK + $(i)u) * (CN / NV) + column] = p + 4.0 * r + sum$(5 * MR + i);
  }
#end
}

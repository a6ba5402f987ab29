// Weight gradient of a 2-D convolution as a tiled implicit matrix product, for discrete GPUs.
//
// Rows are taps and input channels, flattened as in the weights; columns are output channels; the reduction runs over
// one of SPLITS ranges of output positions, fixed by the shape, whose sums reduce_partials.wgsl adds in order. The
// product is that of conv2d_tile.wgsl, but here both operands already lie as it wants them.
//
// source [N, H, W, CKT]; d_output [N, OH, OW, CNT]; partial [SPLITS, KH, KW, CK, CNT].

@group(0) @binding(0) var<storage, read_write> source: array<Channels>;
@group(0) @binding(1) var<storage, read_write> d_output: array<Columns>;
@group(0) @binding(2) var<storage, read_write> partial: array<Columns>;

var<workgroup> left_tile: array<vec4<f32>, $(BK * (BM / 4))>;
var<workgroup> right_tile: array<vec4<f32>, $(BK * (BN / 4))>;

// Index of the input's position that output position `row` meets at a tap, and 1; 0 and 0 where that is padding.
fn source_of(row: u32, shift: vec2<i32>) -> vec2<u32> {
#if POINTWISE
  return vec2(row, 1u);
#else
  let at = vec2<u32>(vec2<i32>(vec2((row / OUTPUT_W) % OUTPUT_H, row % OUTPUT_W) * STRIDE) + shift);
  let image = row / (OUTPUT_H * OUTPUT_W);
  let inside = at.x < SOURCE_H && at.y < SOURCE_W;
  return select(vec2(0u), vec2((image * SOURCE_H + at.x) * SOURCE_W + at.y, 1u), inside);
#end
}

// What the tap of a row of the weights adds to an output position.
fn shift_of(weight_row: u32) -> vec2<i32> {
  let tap = weight_row / CK;
  return vec2<i32>(vec2(tap / KW, tap % KW) * DILATION) - i32(PAD);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first_row = (group.x / COLUMN_BLOCKS) * BM;
  let first_column = (group.x % COLUMN_BLOCKS) * BN;
  let split = group.y;
  let channel_group = group.z;
  let first = split * SPLIT_ROWS;
  let last = min(first + SPLIT_ROWS, ROWS);
  let row_lane = lane / $(BN / TN)u;
  let column_lane = lane % $(BN / TN)u;

#for j in 0..LEFT_LOADS
  let left_slot$j = lane + $(j * THREADS)u;
  let left_k$j = left_slot$j / $(BM / 4)u;
#for c in 0..(4 / AV)
  let row$(j * 4 + c) = min(first_row + (left_slot$j % $(BM / 4)u) * 4u + $(c)u, KH * KW * CK - 1u);
  let shift$(j * 4 + c) = shift_of(row$(j * 4 + c));
  let channel$(j * 4 + c) = (channel_group * CK + row$(j * 4 + c) % CK) / AV;
#end
#end
#for j in 0..RIGHT_LOADS
  let right_slot$j = lane + $(j * THREADS)u;
  let right_k$j = right_slot$j / $(BN / 4)u;
  let right_column$j = first_column + (right_slot$j % $(BN / 4)u) * 4u;
#end
#for s in 0..(TM * TN / 4)
  var sum$s = vec4<f32>(0.0);
#end

  for (var first_k = first; first_k < last + BK; first_k += BK) {
#for j in 0..LEFT_LOADS
    var left$j = vec4<f32>(0.0);
#end
#for j in 0..RIGHT_LOADS
    var right$j = vec4<f32>(0.0);
#end
    if (first_k < last) {
#for j in 0..LEFT_LOADS
#for c in 0..(4 / AV)
      {
        let position = first_k + left_k$j;
        let at = source_of(min(position, ROWS - 1u), shift$(j * 4 + c));
        let value = source[at.x * (CKT / AV) + channel$(j * 4 + c)];
#if AV == 4
        left$j = select(vec4(0.0), value, at.y != 0u && position < last);
#else
        left$(j)[$c] = select(0.0, value, at.y != 0u && position < last);
#end
      }
#end
#end
#for j in 0..RIGHT_LOADS
      {
        let position = first_k + right_k$j;
        let address = min(position, ROWS - 1u) * CNT + channel_group * CN;
#if NV == 4
        let valid = position < last && right_column$j < CN;
        right$j = select(vec4(0.0), d_output[(address + select(0u, right_column$j, valid)) / 4u], valid);
#else
#for c in 0..4
        {
          let valid = position < last && right_column$j + $(c)u < CN;
          right$(j)[$c] = select(0.0, d_output[address + select(0u, right_column$j + $(c)u, valid)], valid);
        }
#end
#end
      }
#end
    }
    if (first_k > first) {
#for k in 0..BK
      {
#for i in 0..(TM / 4)
        let a$i = left_tile[$(k * (BM / 4) + i * (BM / TM))u + row_lane];
#end
#for j in 0..(TN / 4)
        let b$j = right_tile[$(k * (BN / 4) + j * (BN / TN))u + column_lane];
#end
#for i in 0..TM
#for j in 0..(TN / 4)
        sum$(i * (TN / 4) + j) += a$(i / 4)[$(i % 4)] * b$j;
#end
#end
      }
#end
    }
    workgroupBarrier();
#for j in 0..LEFT_LOADS
    if (left_slot$j < $(BK * (BM / 4))u) { left_tile[left_slot$j] = left$j; }
#end
#for j in 0..RIGHT_LOADS
    if (right_slot$j < $(BK * (BN / 4))u) { right_tile[right_slot$j] = right$j; }
#end
    workgroupBarrier();
  }

#for i in 0..TM
  {
    let row = first_row + row_lane * 4u + $((i / 4) * (BM / TM) * 4 + i % 4)u;
    let address = (split * (KH * KW * CK) + row) * CNT + channel_group * CN;
#for j in 0..(TN / 4)
    {
      let column = first_column + column_lane * 4u + $(j * (BN / TN) * 4)u;
#if NV == 4
      if (row < KH * KW * CK && column < CN) { partial[(address + column) / 4u] = sum$(i * (TN / 4) + j); }
#else
#for c in 0..4
      if (row < KH * KW * CK && column + $(c)u < CN) {
        partial[address + column + $(c)u] = sum$(i * (TN / 4) + j)[$c];
      }
#end
#end
    }
#end
  }
#end
}

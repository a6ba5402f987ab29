// 2-D convolution as a tiled implicit matrix product, for discrete GPUs: output and input gradient.
//
// Rows are output positions, columns are output channels, the reduction runs over taps and input channels, flattened.
// A workgroup owns BM x BN of the output and takes BK of the reduction at a time: its invocations load both operands
// into registers while they multiply what the workgroup's memory holds, and then exchange the two. An invocation owns
// TM x TN of the output, in pieces of 4 x 4 that lie BM / TM and BN / TN pieces apart, so that neighbours read and
// write neighbouring vectors. The left operand lies transposed, as the product wants it; an invocation loads 4 rows of
// 4 channels and stores 4 channels of 4 rows, and one vector of padding spreads them over the banks.
//
// Activations [N, H, W, C]; weights [KH, KW, CK, CNT] (output) or transposed to [KH, KW, COUT / G, CIN] (gradient).
// RESIDUES == 1: rows are input positions of one residue class modulo the stride, and the reduction runs over the taps
// that meet the class only; no zeros are inserted.
// SPLITS > 1: a workgroup takes one of SPLITS ranges of the reduction, fixed by the shape; the output is then
// [SPLITS, ...] partial sums, which reduce_partials.wgsl adds in order.

var<workgroup> left_tile: array<vec4<f32>, $(BK * (BM / 4 + 1))>;
var<workgroup> right_tile: array<vec4<f32>, $(BK * (BN / 4))>;

// The taps that a workgroup's rows meet: `first`, then every TAP_STEP, `count` of them on each axis.
struct Taps {
  first: vec2<u32>,
  count: vec2<u32>,
}

#if RESIDUES
// The first tap that meets input positions of a residue class; `taps` where none does.
fn first_tap(residue: u32, taps: u32) -> u32 {
  for (var tap = 0u; tap < min(taps, TAP_STEP); tap++) {
    if ((residue + PAD + (taps * STRIDE - tap) * DILATION) % STRIDE == 0u) { return tap; }
  }
  return taps;
}
#end

// Row and column of the tap that reduction index `k` belongs to.
fn tap_of(k: u32, taps: Taps) -> vec2<u32> {
  let tap = k / CK;
#if RESIDUES
  return taps.first + vec2(tap / taps.count.y, tap % taps.count.y) * TAP_STEP;
#else
  return vec2(tap / KW, tap % KW);
#end
}

// What a tap adds to the position of a row.
fn shift_of(tap: vec2<u32>, residue: vec2<u32>) -> vec2<i32> {
#if INPUT_GRADIENT
  return (vec2<i32>(residue + PAD) - vec2<i32>(tap * DILATION)) / i32(STRIDE);
#else
  return vec2<i32>(tap * DILATION) - i32(PAD);
#end
}

fn store(position: u32, column: u32, split: u32, value: Columns) {
  let index = (split * POSITIONS + position) * (CNT / NV) + column / NV;
#if ACCUMULATE
  output[index] += value;
#else
#if BIAS
  output[index] = value + select(Columns(0.0), bias[column / NV], split == 0u);
#else
  output[index] = value;
#end
#end
}

#if MOMENTS
// What the invocations of a column left in `left_tile`, in order; the first BN / 4 invocations have a column each.
fn sum_of_rows(lane: u32) -> vec4<f32> {
  var sum = vec4<f32>(0.0);
  if (lane < $(BN / 4)u) {
    for (var row = 0u; row < $(BM / TM)u; row++) { sum += left_tile[row * $(BN / 4)u + lane]; }
  }
  return sum;
}
#end

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let block = group.y * GRID_X + group.x;
  if (block >= BLOCKS) { return; }
  let first_row = (block / COLUMN_BLOCKS) * BM;
  let first_column = (block % COLUMN_BLOCKS) * BN;
  let channel_group = group.z % G;
  let split = group.z / (G * CLASSES);
#if RESIDUES
  let residue_class = (group.z / G) % CLASSES;
  let residue = vec2(residue_class / STRIDE, residue_class % STRIDE);
  let first = vec2(first_tap(residue.x, KH), first_tap(residue.y, KW));
  let taps = Taps(first, (vec2(KH, KW) + (TAP_STEP - 1u) - first) / TAP_STEP);
#else
  let residue = vec2(0u);
  let taps = Taps(vec2(0u), vec2(KH, KW));
#end
  let terms = taps.count.x * taps.count.y * CK;
  let split_terms = (terms + $(SPLITS * BK - 1)u) / $(SPLITS * BK)u * BK;
  let first_term = split * split_terms;
  let last_term = min(first_term + split_terms, terms);
  let row_lane = lane / $(BN / TN)u;
  let column_lane = lane % $(BN / TN)u;

#for j in 0..LEFT_LOADS
  let left_slot$j = lane + $(j * THREADS)u;
  let left_k$j = (left_slot$j % $(BK / 4)u) * 4u;
#for r in 0..4
  let row$(j * 4 + r) = min(first_row + (left_slot$j / $(BK / 4)u) * 4u + $(r)u, ROWS - 1u);
  let image$(j * 4 + r) = (row$(j * 4 + r) / (ROWS_H * ROWS_W)) * (SOURCE_H * SOURCE_W);
  let base$(j * 4 + r) =
    vec2<i32>(vec2((row$(j * 4 + r) / ROWS_W) % ROWS_H, row$(j * 4 + r) % ROWS_W) * ROW_STRIDE);
#if AV == 4
  var address$(j * 4 + r) = 0u;
  var inside$(j * 4 + r) = false;
#end
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

  for (var first_k = first_term; first_k < last_term + BK; first_k += BK) {
#for j in 0..LEFT_LOADS
#for c in 0..4
    var left$(j * 4 + c) = vec4<f32>(0.0);
#end
#end
#for j in 0..RIGHT_LOADS
    var right$j = vec4<f32>(0.0);
#end
    if (first_k < last_term) {
#for j in 0..LEFT_LOADS
#if AV == 4
      let k$j = first_k + left_k$j;
#if WHOLE_TAPS
      if (first_k % CK == 0u || first_k == first_term) {
#else
      {
#end
        let shift = shift_of(tap_of(k$j, taps), residue);
#for r in 0..4
        let at$r = vec2<u32>(base$(j * 4 + r) + shift);
        inside$(j * 4 + r) = k$j < last_term && at$(r).x < SOURCE_H && at$(r).y < SOURCE_W;
        address$(j * 4 + r) = (channel_group * CK) / 4u +
          select(0u, (image$(j * 4 + r) + at$(r).x * SOURCE_W + at$(r).y) * (CKT / 4u), inside$(j * 4 + r));
#end
      }
      {
        let channel = (k$j % CK) / 4u;
#for r in 0..4
        let channels$r = select(vec4(0.0), source[address$(j * 4 + r) + channel], inside$(j * 4 + r));
#end
#for c in 0..4
        left$(j * 4 + c) = vec4(channels0[$c], channels1[$c], channels2[$c], channels3[$c]);
#end
      }
#else
#for c in 0..4
      {
        let k = first_k + left_k$j + $(c)u;
        let shift = shift_of(tap_of(k, taps), residue);
        let channel = channel_group * CK + k % CK;
#for r in 0..4
        let at$r = vec2<u32>(base$(j * 4 + r) + shift);
        let inside$r = k < last_term && at$(r).x < SOURCE_H && at$(r).y < SOURCE_W;
        let address$r = select(0u, (image$(j * 4 + r) + at$(r).x * SOURCE_W + at$(r).y) * CKT, inside$r) + channel;
#end
        left$(j * 4 + c) = vec4(
#for r in 0..4
          select(0.0, source[address$r], inside$r),
#end
        );
      }
#end
#end
#end
#for j in 0..RIGHT_LOADS
      {
        let k = first_k + right_k$j;
#if RESIDUES
        let tap = tap_of(k, taps);
        let row = (tap.x * KW + tap.y) * CK + k % CK;
#else
        let row = k;
#end
        let address = select(0u, row, k < last_term) * CNT + channel_group * CN;
#if NV == 4
        let valid = k < last_term && right_column$j < CN;
        right$j = select(vec4(0.0), weight[(address + select(0u, right_column$j, valid)) / 4u], valid);
#else
#for c in 0..4
        {
          let valid = k < last_term && right_column$j + $(c)u < CN;
          right$(j)[$c] = select(0.0, weight[address + select(0u, right_column$j + $(c)u, valid)], valid);
        }
#end
#end
      }
#end
    }
    if (first_k > first_term) {
#for k in 0..BK
      {
#for i in 0..(TM / 4)
        let a$i = left_tile[$(k * (BM / 4 + 1) + i * (BM / TM))u + row_lane];
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
    if (left_slot$j < $((BM / 4) * (BK / 4))u) {
#for c in 0..4
      left_tile[(left_k$j + $(c)u) * $(BM / 4 + 1)u + left_slot$j / $(BK / 4)u] = left$(j * 4 + c);
#end
    }
#end
#for j in 0..RIGHT_LOADS
    if (right_slot$j < $(BK * (BN / 4))u) { right_tile[right_slot$j] = right$j; }
#end
    workgroupBarrier();
  }

#for i in 0..TM
  {
    let row = first_row + row_lane * 4u + $((i / 4) * (BM / TM) * 4 + i % 4)u;
#if INPUT_GRADIENT
    let h = ((row / ROWS_W) % ROWS_H) * STRIDE + residue.x;
    let w = (row % ROWS_W) * STRIDE + residue.y;
    let position = ((row / (ROWS_H * ROWS_W)) * OUTPUT_H + h) * OUTPUT_W + w;
    let row_valid = row < ROWS && h < OUTPUT_H && w < OUTPUT_W;
#else
    let position = row;
    let row_valid = row < ROWS;
#end
#for j in 0..(TN / 4)
    {
      let column = first_column + column_lane * 4u + $(j * (BN / TN) * 4)u;
#if NV == 4
      if (row_valid && column < CN) { store(position, channel_group * CN + column, split, sum$(i * (TN / 4) + j)); }
#else
#for c in 0..4
      if (row_valid && column + $(c)u < CN) {
        store(position, channel_group * CN + column + $(c)u, split, sum$(i * (TN / 4) + j)[$c]);
      }
#end
#end
    }
#end
  }
#end
#if MOMENTS
  // Sums over the rows of an invocation, then over the invocations that share columns, in their order.
#for j in 0..(TN / 4)
  if (row_lane == 0u) { right_tile[$(j * (BN / TN))u + column_lane] = sum$j; }
  var total$j = vec4<f32>(0.0);
  var squares$j = vec4<f32>(0.0);
#end
  workgroupBarrier();
#for j in 0..(TN / 4)
  let shift$j = right_tile[$(j * (BN / TN))u + column_lane];
#end
#for i in 0..TM
  if (first_row + row_lane * 4u + $((i / 4) * (BM / TM) * 4 + i % 4)u < ROWS) {
#for j in 0..(TN / 4)
    let deviation$j = sum$(i * (TN / 4) + j) - shift$j;
    total$j += deviation$j;
    squares$j += deviation$j * deviation$j;
#end
  }
#end
#for j in 0..(TN / 4)
  left_tile[row_lane * $(BN / 4)u + $(j * (BN / TN))u + column_lane] = total$j;
#end
  workgroupBarrier();
  let total = sum_of_rows(lane);
  workgroupBarrier();
#for j in 0..(TN / 4)
  left_tile[row_lane * $(BN / 4)u + $(j * (BN / TN))u + column_lane] = squares$j;
#end
  workgroupBarrier();
  let squares = sum_of_rows(lane);
  let rows = f32(min(BM, ROWS - first_row));
  let row_block = block / COLUMN_BLOCKS;
  let column = first_column + lane * 4u;
  if (lane < $(BN / 4)u) {
    let shift = right_tile[lane];
#if NV == 4
    if (column < CN) { leave_moments(row_block, (channel_group * CN + column) / 4u, rows, shift, total, squares); }
#else
#for c in 0..4
    if (column + $(c)u < CN) {
      leave_moments(row_block, channel_group * CN + column + $(c)u, rows, shift[$c], total[$c], squares[$c]);
    }
#end
#end
  }
  if (first_column == 0u && channel_group == 0u && lane == 0u) { counts[row_block] = rows; }
#end
}

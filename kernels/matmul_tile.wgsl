// Products of many pairs of matrices in tiles, for discrete GPUs: output = left * right, [PRODUCTS, M, N].
//
// A workgroup owns BM x BN of one product and takes BK of the reduction at a time, as in conv2d_tile.wgsl: its
// invocations load both operands into registers while they multiply what the workgroup's memory holds. Here they load
// blocks of 4 x 4, of which the memory holds a vector of rows, or of columns, for each term.
//
// left [PRODUCTS, M, K], or [PRODUCTS, K, M] where LEFT_TRANSPOSED; right [PRODUCTS, K, N], or [PRODUCTS, N, K] where
// RIGHT_TRANSPOSED. Stored matrices have LEFT_LINES lines of LEFT_LENGTH, RIGHT_LINES of RIGHT_LENGTH.

#if LV == 4
alias LeftItem = vec4<f32>;
#else
alias LeftItem = f32;
#end
#if RV == 4
alias RightItem = vec4<f32>;
#else
alias RightItem = f32;
#end
#if NV == 4
alias OutputItem = vec4<f32>;
#else
alias OutputItem = f32;
#end

@group(0) @binding(0) var<storage, read_write> left: array<LeftItem>;
@group(0) @binding(1) var<storage, read_write> right: array<RightItem>;
@group(0) @binding(2) var<storage, read_write> output: array<OutputItem>;

var<workgroup> left_tile: array<vec4<f32>, $(BK * (BM / 4 + 1))>;
var<workgroup> right_tile: array<vec4<f32>, $(BK * (BN / 4))>;

// Four places of four lines of the left operand, a line to a column; zeros outside.
fn left_block(product: u32, line: u32, place: u32) -> mat4x4<f32> {
  var block: mat4x4<f32>;
#for i in 0..4
  {
    let address = (product * LEFT_LINES + min(line + $(i)u, LEFT_LINES - 1u)) * LEFT_LENGTH;
#if LV == 4
    let valid = line + $(i)u < LEFT_LINES && place < LEFT_LENGTH;
    block[$i] = select(vec4(0.0), left[(address + select(0u, place, valid)) / 4u], valid);
#else
#for c in 0..4
    {
      let valid = line + $(i)u < LEFT_LINES && place + $(c)u < LEFT_LENGTH;
      block[$i][$c] = select(0.0, left[address + select(0u, place + $(c)u, valid)], valid);
    }
#end
#end
  }
#end
  return block;
}

// The same of the right operand.
fn right_block(product: u32, line: u32, place: u32) -> mat4x4<f32> {
  var block: mat4x4<f32>;
#for i in 0..4
  {
    let address = (product * RIGHT_LINES + min(line + $(i)u, RIGHT_LINES - 1u)) * RIGHT_LENGTH;
#if RV == 4
    let valid = line + $(i)u < RIGHT_LINES && place < RIGHT_LENGTH;
    block[$i] = select(vec4(0.0), right[(address + select(0u, place, valid)) / 4u], valid);
#else
#for c in 0..4
    {
      let valid = line + $(i)u < RIGHT_LINES && place + $(c)u < RIGHT_LENGTH;
      block[$i][$c] = select(0.0, right[address + select(0u, place + $(c)u, valid)], valid);
    }
#end
#end
  }
#end
  return block;
}

fn store(index: u32, value: OutputItem) {
#if ACCUMULATE
  output[index] += value;
#else
  output[index] = value;
#end
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let block = group.y * GRID_X + group.x;
  if (block >= BLOCKS * PRODUCTS) { return; }
  let product = block / BLOCKS;
  let first_row = ((block % BLOCKS) / COLUMN_BLOCKS) * BM;
  let first_column = ((block % BLOCKS) % COLUMN_BLOCKS) * BN;
  let row_lane = lane / $(BN / TN)u;
  let column_lane = lane % $(BN / TN)u;

  // Neighbours load neighbouring places of a line.
#for j in 0..LEFT_LOADS
  let left_slot$j = lane + $(j * THREADS)u;
#if LEFT_TRANSPOSED
  let left_row$j = (left_slot$j % $(BM / 4)u) * 4u;
  let left_k$j = (left_slot$j / $(BM / 4)u) * 4u;
#else
  let left_row$j = (left_slot$j / $(BK / 4)u) * 4u;
  let left_k$j = (left_slot$j % $(BK / 4)u) * 4u;
#end
#end
#for j in 0..RIGHT_LOADS
  let right_slot$j = lane + $(j * THREADS)u;
#if RIGHT_TRANSPOSED
  let right_column$j = (right_slot$j / $(BK / 4)u) * 4u;
  let right_k$j = (right_slot$j % $(BK / 4)u) * 4u;
#else
  let right_column$j = (right_slot$j % $(BN / 4)u) * 4u;
  let right_k$j = (right_slot$j / $(BN / 4)u) * 4u;
#end
#end
#for s in 0..(TM * TN / 4)
  var sum$s = vec4<f32>(0.0);
#end

  for (var first_k = 0u; first_k < K + BK; first_k += BK) {
#for j in 0..LEFT_LOADS
    var left$j: mat4x4<f32>;
#end
#for j in 0..RIGHT_LOADS
    var right$j: mat4x4<f32>;
#end
    if (first_k < K) {
#for j in 0..LEFT_LOADS
#if LEFT_TRANSPOSED
      left$j = left_block(product, first_k + left_k$j, first_row + left_row$j);
#else
      left$j = transpose(left_block(product, first_row + left_row$j, first_k + left_k$j));
#end
#end
#for j in 0..RIGHT_LOADS
#if RIGHT_TRANSPOSED
      right$j = transpose(right_block(product, first_column + right_column$j, first_k + right_k$j));
#else
      right$j = right_block(product, first_k + right_k$j, first_column + right_column$j);
#end
#end
    }
    if (first_k > 0u) {
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
      left_tile[(left_k$j + $(c)u) * $(BM / 4 + 1)u + left_row$j / 4u] = left$(j)[$c];
#end
    }
#end
#for j in 0..RIGHT_LOADS
    if (right_slot$j < $((BN / 4) * (BK / 4))u) {
#for c in 0..4
      right_tile[(right_k$j + $(c)u) * $(BN / 4)u + right_column$j / 4u] = right$(j)[$c];
#end
    }
#end
    workgroupBarrier();
  }

#for i in 0..TM
  {
    let row = first_row + row_lane * 4u + $((i / 4) * (BM / TM) * 4 + i % 4)u;
#for j in 0..(TN / 4)
    {
      let column = first_column + column_lane * 4u + $(j * (BN / TN) * 4)u;
      let index = (product * M + row) * N + column;
#if NV == 4
      if (row < M && column < N) { store(index / 4u, sum$(i * (TN / 4) + j)); }
#else
#for c in 0..4
      if (row < M && column + $(c)u < N) { store(index + $(c)u, sum$(i * (TN / 4) + j)[$c]); }
#end
#end
    }
#end
  }
#end
}

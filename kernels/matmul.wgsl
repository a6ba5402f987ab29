// Products of many pairs of matrices: output = left * right, [PRODUCTS, M, N]. Joined behind operands.wgsl.
//
// One workgroup is one subgroup of S lanes and owns MR rows and S * NV columns of one product. Lanes lie along the
// columns; of the left operand, which all of them need, each lane loads a different piece and broadcasts it, as in
// conv2d.wgsl.
//
// left [PRODUCTS, M, K]: KL lanes lie along the reduction, AV terms each, so that one load fetches S / KL rows, and TERMS
// of the reduction are taken at a time. Where LEFT_TRANSPOSED it is [PRODUCTS, K, M]: a lane holds one term of S, AV rows
// to a load.
// right [PRODUCTS, K, N], or [PRODUCTS, N, K] where RIGHT_TRANSPOSED: then NV is 1, and a load fetches AV terms.

#if RIGHT_TRANSPOSED
alias RightItem = Channels;
#else
alias RightItem = Columns;
#end

@group(0) @binding(0) var<storage, read_write> left: array<Channels>;
@group(0) @binding(1) var<storage, read_write> right: array<RightItem>;
@group(0) @binding(2) var<storage, read_write> output: array<Columns>;

#if !SUBGROUPS
var<workgroup> shared_left: array<Channels, $(S * (LEFT_TRANSPOSED * (MR / AV) + !LEFT_TRANSPOSED * (MR / (S / KL))))>;
#end

@compute @workgroup_size(S)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let block = group.y * GRID_X + group.x;
  if (block >= ROW_BLOCKS * PRODUCTS) { return; }
  let product = block / ROW_BLOCKS;
  let first_row = (block % ROW_BLOCKS) * MR;
  let column_valid = (group.z * S + lane) * NV < N;
  let column = select(0u, group.z * S + lane, column_valid);

#if LEFT_TRANSPOSED
#for m in 0..(MR / AV)
  var sums$m = Weights();
#end
#else
#for i in 0..MR
  var sum$i = Columns(0.0);
#end
#for j in 0..(MR / (S / KL))
  let address$j = (product * M + min(first_row + $j * (S / KL) + lane / KL, M - 1u)) * (K / AV) + lane % KL;
#end
#end

  for (var first = 0u; first < K; first += TERMS) {
#if LEFT_TRANSPOSED
    let inside = first + lane < K;
    let line = (product * K + select(0u, first + lane, inside)) * (M / AV);
#for m in 0..(MR / AV)
    let a$m = select(Channels(0.0), left[line + min(first_row / AV + $(m)u, M / AV - 1u)], inside);
#end
#else
#for j in 0..(MR / (S / KL))
    let a$j = left[address$j + first / AV];
#end
#end
#if !SUBGROUPS
    workgroupBarrier();
#for j in 0..(LEFT_TRANSPOSED * (MR / AV) + !LEFT_TRANSPOSED * (MR / (S / KL)))
    shared_left[$j * S + lane] = a$j;
#end
    workgroupBarrier();
#end
#if LEFT_TRANSPOSED
#for q in 0..(S / 4)
    {
      let b = FourColumns(
#for t in 0..4
        right[(product * K + min(first + $(q * 4 + t)u, K - 1u)) * (N / NV) + column],
#end
      );
#for m in 0..(MR / AV)
      sums$m = plus_outer(
        sums$m,
        b,
#for t in 0..4
#if SUBGROUPS
        subgroupBroadcast(a$m, $(q * 4 + t)u),
#else
        shared_left[$(m * S + q * 4 + t)],
#end
#end
      );
#end
    }
#end
#else
#for v in 0..KL
    {
#if RIGHT_TRANSPOSED
      let b = right[(product * N + column) * (K / AV) + first / AV + $(v)u];
#else
      let b = Weights(
#for u in 0..AV
        right[(product * K + first + $(v * AV + u)u) * (N / NV) + column],
#end
      );
#end
#for i in 0..MR
#if SUBGROUPS
      sum$i = plus_product(sum$i, b, subgroupBroadcast(a$(i / (S / KL)), $((i % (S / KL)) * KL + v)u));
#else
      sum$i = plus_product(sum$i, b, shared_left[$((i / (S / KL)) * S + (i % (S / KL)) * KL + v)]);
#end
#end
    }
#end
#end
  }

#for i in 0..MR
  if (column_valid && first_row + $(i)u < M) {
    let index = (product * M + first_row + $(i)u) * (N / NV) + column;
#if LEFT_TRANSPOSED && AV == 4
    let sum = sums$(i / AV)[$(i % AV)];
#end
#if LEFT_TRANSPOSED && AV == 1
    let sum = sums$i;
#end
#if !LEFT_TRANSPOSED
    let sum = sum$i;
#end
#if ACCUMULATE
    output[index] += sum;
#else
    output[index] = sum;
#end
  }
#end
}

// Products of many pairs of matrices: output = left * right, [PRODUCTS, M, N].
//
// One workgroup is one subgroup of S lanes and owns MR rows and S * NV columns of one product. Lanes lie along the
// columns; of the left operand, which all of them need, each lane loads a different piece and broadcasts it, as in
// conv2d.wgsl.
//
// left [PRODUCTS, M, K]: KL lanes lie along the reduction, LV terms each, so that one load fetches S / KL rows. Where
// LEFT_TRANSPOSED it is [PRODUCTS, K, M]: a lane holds one term of S, LV rows to a load.
// right [PRODUCTS, K, N], or [PRODUCTS, N, K] where RIGHT_TRANSPOSED: then NV is 1, and a load fetches LV terms.
//
// TERMS of the reduction at a time, TOGETHER of them added to one sum before the next.

#if LV == 4
alias LeftItem = vec4<f32>;
#else
alias LeftItem = f32;
#end
#if NV == 4
alias OutputItem = vec4<f32>;
#else
#if NV == 2
alias OutputItem = vec2<f32>;
#else
alias OutputItem = f32;
#end
#end
#if RIGHT_TRANSPOSED
alias RightItem = LeftItem;
#else
alias RightItem = OutputItem;
#end

@group(0) @binding(0) var<storage, read_write> left: array<LeftItem>;
@group(0) @binding(1) var<storage, read_write> right: array<RightItem>;
@group(0) @binding(2) var<storage, read_write> output: array<OutputItem>;

#if !SUBGROUPS
var<workgroup> shared_left: array<LeftItem, $(S * (LEFT_TRANSPOSED * (MR / LV) + !LEFT_TRANSPOSED * (MR / (S / KL))))>;
#end

@compute @workgroup_size(S)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let block = group.y * GRID_X + group.x;
  if (block >= ROW_BLOCKS * PRODUCTS) { return; }
  let product = block / ROW_BLOCKS;
  let first_row = (block % ROW_BLOCKS) * MR;
  let column_valid = (group.z * S + lane) * NV < N;
  let column = select(0u, group.z * S + lane, column_valid);

#for i in 0..MR
  var sum$i = OutputItem(0.0);
#end
#if !LEFT_TRANSPOSED
#for j in 0..(MR / (S / KL))
  let address$j = (product * M + min(first_row + $j * (S / KL) + lane / KL, M - 1u)) * (K / LV) + lane % KL;
#end
#end

  for (var first = 0u; first < K; first += TERMS) {
#if LEFT_TRANSPOSED
    let inside = first + lane < K;
    let line = (product * K + select(0u, first + lane, inside)) * (M / LV);
#for j in 0..(MR / LV)
    let a$j = select(LeftItem(0.0), left[line + min(first_row / LV + $(j)u, M / LV - 1u)], inside);
#end
#else
#for j in 0..(MR / (S / KL))
    let a$j = left[address$j + first / LV];
#end
#end
#if !SUBGROUPS
    workgroupBarrier();
#for j in 0..(LEFT_TRANSPOSED * (MR / LV) + !LEFT_TRANSPOSED * (MR / (S / KL)))
    shared_left[$j * S + lane] = a$j;
#end
    workgroupBarrier();
#end
#if RIGHT_TRANSPOSED
#for v in 0..KL
    let b$v = right[(product * N + column) * (K / LV) + first / LV + $(v)u];
#end
#end
#for q in 0..(TERMS / TOGETHER)
    {
#for t in 0..TOGETHER
#if RIGHT_TRANSPOSED
#if LV == 4
      let right$t = b$((q * TOGETHER + t) / LV)[$((q * TOGETHER + t) % LV)];
#else
      let right$t = b$(q * TOGETHER + t);
#end
#else
      let right$t = right[(product * K + min(first + $(q * TOGETHER + t)u, K - 1u)) * (N / NV) + column];
#end
#end
#for i in 0..MR
#for t in 0..TOGETHER
      {
#if LEFT_TRANSPOSED
#if SUBGROUPS
#if LV == 4
        let a = subgroupBroadcast(a$(i / LV)[$(i % LV)], $(q * TOGETHER + t)u);
#else
        let a = subgroupBroadcast(a$i, $(q * TOGETHER + t)u);
#end
#else
#if LV == 4
        let a = shared_left[$((i / LV) * S + q * TOGETHER + t)][$(i % LV)];
#else
        let a = shared_left[$(i * S + q * TOGETHER + t)];
#end
#end
#else
#if SUBGROUPS
#if LV == 4
        let a = subgroupBroadcast(
          a$(i / (S / KL))[$((q * TOGETHER + t) % LV)], $((i % (S / KL)) * KL + (q * TOGETHER + t) / LV)u
        );
#else
        let a = subgroupBroadcast(a$(i / (S / KL)), $((i % (S / KL)) * KL + q * TOGETHER + t)u);
#end
#else
#if LV == 4
        let a = shared_left[$((i / (S / KL)) * S + (i % (S / KL)) * KL + (q * TOGETHER + t) / LV)][
          $((q * TOGETHER + t) % LV)
        ];
#else
        let a = shared_left[$((i / (S / KL)) * S + (i % (S / KL)) * KL + q * TOGETHER + t)];
#end
#end
#end
        sum$i += a * right$t;
      }
#end
#end
    }
#end
  }

#for i in 0..MR
  if (column_valid && first_row + $(i)u < M) {
    let index = (product * M + first_row + $(i)u) * (N / NV) + column;
#if ACCUMULATE
    output[index] += sum$i;
#else
    output[index] = sum$i;
#end
  }
#end
}

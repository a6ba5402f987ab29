// 2-D convolution as an implicit matrix product: output and input gradient.
//
// Rows are output positions, columns are output channels, the reduction runs over taps and input channels. One
// workgroup is one subgroup of S lanes and owns MR rows and S * NV * NR columns. Lanes lie along the columns; for the
// operand they all need (the activations) each lane loads a different piece and broadcasts it, because loads, not
// arithmetic, bound a CPU adapter. KL lanes lie along the reduction, AV channels each, so that one load instruction
// fetches S / KL rows of KL * AV channels.
//
// Activations [N, H, W, C]; weights [KH, KW, CK, CNT] (output) or transposed to [KH, KW, COUT / G, CIN] (gradient).
// INPUT_GRADIENT == 1: rows are input positions of one residue class modulo the stride, so that only the taps that
// meet the class are visited and no zeros are inserted. Where ONE_CLASS (a stride over a single tap), the others meet
// none: only the class of residue RESIDUE along both axes is computed, and each of its rows clears its neighbours.

#if !SUBGROUPS
var<workgroup> shared_channels: array<Channels, $(S * (MR / (S / KL)))>;
#end
#if ONE_CLASS && !ACCUMULATE

/** What no tap adds to, at the positions of the other classes beside a row's. */
fn clear_neighbours(row: u32, column: u32) {
  if (row >= ROWS) { return; }
  let first_h = (row / ROWS_W) % ROWS_H * STRIDE;
  let first_w = row % ROWS_W * STRIDE;
  let image = row / (ROWS_H * ROWS_W) * OUTPUT_H;
  for (var h = first_h; h < min(first_h + STRIDE, OUTPUT_H); h++) {
    for (var w = first_w; w < min(first_w + STRIDE, OUTPUT_W); w++) {
      if (h == first_h + RESIDUE && w == first_w + RESIDUE) { continue; }
      write_output(((image + h) * OUTPUT_W + w) * (CNT / NV) + column, column, Columns(0.0));
    }
  }
}
#end

@compute @workgroup_size(S)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let place = place_of(group);
  let row_block = place.x;
  if (row_block >= ROW_BLOCKS) { return; }
  let first_row = row_block * MR;
  let column_block = place.y % COLUMN_BLOCKS;
  let channel_group = (place.y / COLUMN_BLOCKS) % G;
#for r in 0..NR
  let column_in_group$r = ((column_block * NR + $r) * S + lane) * NV;
  let column_valid$r = column_in_group$r < CN;
  let column$r = (channel_group * CN + select(0u, column_in_group$r, column_valid$r)) / NV;
#end
#if INPUT_GRADIENT
#if ONE_CLASS
  let residue_h = i32(RESIDUE);
  let residue_w = i32(RESIDUE);
#else
  let residue = place.y / (COLUMN_BLOCKS * G);
  let residue_h = i32(residue / STRIDE);
  let residue_w = i32(residue % STRIDE);
#end
#end
  let channel = (channel_group * CK) / AV + lane % KL;

#for i in 0..MR
#for r in 0..NR
  var sum$(i * NR + r) = Columns(0.0);
#end
#end
#for j in 0..(MR / (S / KL))
  let row$j = min(first_row + $j * (S / KL) + lane / KL, ROWS - 1u);
  let image$j = (row$j / (ROWS_H * ROWS_W)) * (SOURCE_H * SOURCE_W);
  let base_h$j = i32(((row$j / ROWS_W) % ROWS_H) * ROW_STRIDE);
  let base_w$j = i32((row$j % ROWS_W) * ROW_STRIDE);
#end

  // Taps TAP_STEP apart are all that a class meets; where they are dilated, the loops pass over those that it does not.
#if TAP_STEP > 1
  let first_kh = u32(residue_h + i32(PAD)) % TAP_STEP;
  let first_kw = u32(residue_w + i32(PAD)) % TAP_STEP;
#else
  let first_kh = 0u;
  let first_kw = 0u;
#end
  for (var kh = first_kh; kh < KH; kh += TAP_STEP) {
#if INPUT_GRADIENT
    let numerator_h = residue_h + i32(PAD) - i32(kh * DILATION);
#if !ONE_CLASS && DILATION > 1
    if ((numerator_h + i32(KH * DILATION * STRIDE)) % i32(STRIDE) != 0) { continue; }
#end
    let shift_h = numerator_h / i32(STRIDE);
#else
    let shift_h = i32(kh * DILATION) - i32(PAD);
#end
    for (var kw = first_kw; kw < KW; kw += TAP_STEP) {
#if INPUT_GRADIENT
      let numerator_w = residue_w + i32(PAD) - i32(kw * DILATION);
#if !ONE_CLASS && DILATION > 1
      if ((numerator_w + i32(KW * DILATION * STRIDE)) % i32(STRIDE) != 0) { continue; }
#end
      let shift_w = numerator_w / i32(STRIDE);
#else
      let shift_w = i32(kw * DILATION) - i32(PAD);
#end
#for j in 0..(MR / (S / KL))
      let h$j = base_h$j + shift_h;
      let w$j = base_w$j + shift_w;
      let inside$j = u32(h$j) < SOURCE_H && u32(w$j) < SOURCE_W;
      let address$j = select(0u, (image$j + u32(h$j) * SOURCE_W + u32(w$j)) * (CKT / AV), inside$j) + channel;
#end
      var weight_row = (kh * KW + kw) * CK * (CNT / NV);
#if CK > KL * AV
      for (var chunk = 0u; chunk < CK / AV; chunk += KL) {
#else
      {
        let chunk = 0u;
#end
#for j in 0..(MR / (S / KL))
        let a$j = select(Channels(0.0), source[address$j + chunk], inside$j);
#end
#if !SUBGROUPS
        workgroupBarrier();
#for j in 0..(MR / (S / KL))
        shared_channels[$j * S + lane] = a$j;
#end
        workgroupBarrier();
#end
#for k in 0..KL
        {
#for r in 0..NR
          let b$r = Weights(
#for u in 0..AV
            weight[weight_row + $(k * AV + u) * (CNT / NV) + column$r],
#end
          );
#end
#for i in 0..MR
          {
#if SUBGROUPS
            let a = subgroupBroadcast(a$(i / (S / KL)), $((i % (S / KL)) * KL + k)u);
#else
            let a = shared_channels[$((i / (S / KL)) * S + (i % (S / KL)) * KL + k)];
#end
#for r in 0..NR
            sum$(i * NR + r) = plus_product(sum$(i * NR + r), b$r, a);
#end
          }
#end
        }
#end
        weight_row += KL * AV * (CNT / NV);
      }
    }
  }

#if MOMENTS
#for r in 0..NR
  var total$r = Columns(0.0);
  var squares$r = Columns(0.0);
#end
#end
#for i in 0..MR
  {
    let row = first_row + $i;
#if INPUT_GRADIENT
    let h = ((row / ROWS_W) % ROWS_H) * STRIDE + u32(residue_h);
    let w = (row % ROWS_W) * STRIDE + u32(residue_w);
    let position = ((row / (ROWS_H * ROWS_W)) * OUTPUT_H + h) * OUTPUT_W + w;
    let row_valid = row < ROWS && h < OUTPUT_H && w < OUTPUT_W;
#else
    let position = row;
    let row_valid = row < ROWS;
#end
#if ONE_CLASS && !ACCUMULATE
#for r in 0..NR
    if (column_valid$r) { clear_neighbours(row, column$r); }
#end
#end
#for r in 0..NR
    if (row_valid && column_valid$r) {
      let index = position * (CNT / NV) + column$r;
      write_output(index, column$r, sum$(i * NR + r));
#if MOMENTS
      let deviation = sum$(i * NR + r) - sum$r;
      total$r += deviation;
      squares$r += deviation * deviation;
#end
    }
#end
  }
#end
#if MOMENTS
  let rows = f32(min($(MR)u, ROWS - first_row));
#for r in 0..NR
  if (column_valid$r) { leave_moments(row_block, column$r, rows, sum$r, total$r, squares$r); }
#end
  if (place.y == 0u && lane == 0u) { counts[row_block] = rows; }
#end
}

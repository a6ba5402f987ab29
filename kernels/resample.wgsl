// Images resampled along both axes: each row and column of the output is a weighted sum of some of the input's. The
// gradient is the same with the tables of the transposed sums, so nothing is scattered.
//
// input [N, INPUT_H, INPUT_W, C]; output [N, OUTPUT_H, OUTPUT_W, C]; COUNT items. rows [OUTPUT_H + 1] says where the
// list of each row begins, and holds the lists behind that: pairs of an input row and the bits of its weight.

@group(0) @binding(0) var<storage, read_write> input: array<Item>;
@group(0) @binding(1) var<storage, read_write> output: array<Item>;
@group(0) @binding(2) var<storage, read_write> rows: array<u32>;
@group(0) @binding(3) var<storage, read_write> columns: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    let channel = i % (C / W);
    let position = i / (C / W);
    let column = position % OUTPUT_W;
    let row = (position / OUTPUT_W) % OUTPUT_H;
    let image = position / (OUTPUT_H * OUTPUT_W);
    var sum = Item(0.0);
    for (var r = rows[row]; r < rows[row + 1u]; r++) {
      let row_pair = OUTPUT_H + 1u + 2u * r;
      let line = (image * INPUT_H + rows[row_pair]) * INPUT_W;
      var of_row = Item(0.0);
      for (var c = columns[column]; c < columns[column + 1u]; c++) {
        let column_pair = OUTPUT_W + 1u + 2u * c;
        of_row += bitcast<f32>(columns[column_pair + 1u]) * input[(line + columns[column_pair]) * (C / W) + channel];
      }
      sum += bitcast<f32>(rows[row_pair + 1u]) * of_row;
    }
#if ACCUMULATE
    output[i] += sum;
#else
    output[i] = sum;
#end
  }
}

// The rows of a sketch become combinations of themselves and of the newest row, which is the last one and stays.
// Joined behind elementwise.wgsl.
//
// rows [ROWS_K + 1, COUNT]; coefficients [ROWS_K, ROWS_K + 1].

@group(0) @binding(0) var<storage, read_write> rows: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> coefficients: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
#for k in 0..(ROWS_K + 1)
    let row$k = rows[$(k)u * COUNT + i];
#end
#for to in 0..ROWS_K
    rows[$(to)u * COUNT + i] = vec4<f32>(0.0)
#for k in 0..(ROWS_K + 1)
      + coefficients[$(to * (ROWS_K + 1) + k)] * row$k
#end
    ;
#end
  }
}

// For each row of a sketch: partial sums of its square and of its product with the newest row, which is the last one.
// A workgroup for each block of items and, along z, for each row. Joined behind workgroup_sum.wgsl and elementwise.wgsl.
//
// rows [ROWS_K + 1, COUNT]; partial [blocks, 2 * (ROWS_K + 1)]: squares, then products.

@group(0) @binding(0) var<storage, read_write> rows: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> partial: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group.z * COUNT;
  var square = vec4<f32>(0.0);
  var product = vec4<f32>(0.0);
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    let value = rows[row + i];
    square += value * value;
    product += value * rows[$(ROWS_K)u * COUNT + i];
  }
  let square_sum = workgroup_sum(dot(square, vec4<f32>(1.0)), lane);
  let product_sum = workgroup_sum(dot(product, vec4<f32>(1.0)), lane);
  let block = group.y * GRID_X + group.x;
  if (lane == 0u && block < BLOCKS) {
    let at = (FIRST_BLOCK + block) * $(2 * (ROWS_K + 1))u + group.z;
    partial[at] = square_sum;
    partial[at + $(ROWS_K + 1)u] = product_sum;
  }
}

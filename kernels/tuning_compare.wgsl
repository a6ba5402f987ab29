// Partial sums, one pair for each workgroup of a loop: of the squares of found - expected, then of those of expected.
// Joined behind workgroup_sum.wgsl and elementwise.wgsl.

@group(0) @binding(0) var<storage, read_write> found: array<f32>;
@group(0) @binding(1) var<storage, read_write> expected: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  var difference = 0.0;
  var norm = 0.0;
  for (var i = first; i < end; i += RUN) {
    let wanted = expected[i];
    let off = found[i] - wanted;
    difference += off * off;
    norm += wanted * wanted;
  }
  let total = vec2(workgroup_sum(difference, lane), workgroup_sum(norm, lane));
  let block = group.y * GRID_X + group.x;
  if (lane == 0u && block < BLOCKS) { sums[block] = total; }
}

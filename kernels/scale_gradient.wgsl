// gradient *= scale[0]: the loss scale of mixed precision.

@group(0) @binding(0) var<storage, read_write> scale: array<f32>;
@group(0) @binding(1) var<storage, read_write> gradient: array<Item>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let factor = scale[0];
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) { gradient[i] *= factor; }
}

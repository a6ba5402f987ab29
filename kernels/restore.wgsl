// Puts a segment back where the step was skipped: values = saved if loss_scale[3] is not 0 (see update_loss_scale.wgsl).

@group(0) @binding(0) var<storage, read_write> loss_scale: array<f32>;
@group(0) @binding(1) var<storage, read_write> saved: array<Item>;
@group(0) @binding(2) var<storage, read_write> values: array<Item>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  if (loss_scale[3] == 0.0) { return; }
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) { values[i] = saved[i]; }
}

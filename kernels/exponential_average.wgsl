// average <- keep average + (1 - keep) newest, with keep = settings[0]. Joined behind elementwise.wgsl.

@group(0) @binding(0) var<storage, read_write> settings: array<f32>;
@group(0) @binding(1) var<storage, read_write> average: array<Item>;
@group(0) @binding(2) var<storage, read_write> newest: array<Item>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  let keep = settings[0];
  for (var i = first; i < end; i += RUN) { average[i] = keep * average[i] + (1.0 - keep) * newest[i]; }
}

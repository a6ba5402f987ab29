// The dynamic loss scale after a step, and whether the step's update is made. Joined behind workgroup_sum.wgsl.
//
// not_finite [BLOCKS]: counts of unscale_gradient.wgsl. loss_scale = (scale, steps made since it changed, steps skipped so
// far, 1 where this step is skipped). Where all is finite, `launched` gets the workgroups of the LAUNCHES that make the
// update, which `sizes` holds, [LAUNCHES, 3] both; otherwise 0.

@group(0) @binding(0) var<storage, read_write> loss_scale: array<f32>;
@group(0) @binding(1) var<storage, read_write> not_finite: array<f32>;
@group(0) @binding(2) var<storage, read_write> sizes: array<u32>;
@group(0) @binding(3) var<storage, read_write> launched: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
  var count = 0.0;
  for (var block = lane; block < BLOCKS; block += 64u) { count += not_finite[block]; }
  let finite = workgroup_sum(count, lane) == 0.0;
  for (var i = lane; i < 3u * LAUNCHES; i += 64u) { launched[i] = select(0u, sizes[i], finite); }
  if (lane != 0u) { return; }
  let scale = loss_scale[0];
  let made = loss_scale[1] + 1.0;
  if (!finite) {
    loss_scale[0] = 0.5 * scale;
    loss_scale[1] = 0.0;
    loss_scale[2] += 1.0;
  } else if (made == f32(GROWTH_INTERVAL)) {
    loss_scale[0] = min(2.0 * scale, LARGEST);
    loss_scale[1] = 0.0;
  } else {
    loss_scale[1] = made;
  }
  loss_scale[3] = select(1.0, 0.0, finite);
}

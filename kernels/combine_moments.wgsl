// Combines the moments of every PART_BLOCKS of BLOCKS blocks, so that no invocation has to walk through all of them.

@group(0) @binding(2) var<storage, read_write> combined: array<Item>;
@group(0) @binding(3) var<storage, read_write> combined_counts: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let range = first_item(group, lane);
  if (range >= COUNT) { return; }
  let channel = range % (C / W);
  let part = range / (C / W);
  let all = moments_of(part * PART_BLOCKS, min((part + 1u) * PART_BLOCKS, BLOCKS), channel);
  combined[part * (2u * C / W) + channel] = all.average;
  combined[part * (2u * C / W) + C / W + channel] = all.squares;
  if (channel == 0u) { combined_counts[part] = all.count; }
}

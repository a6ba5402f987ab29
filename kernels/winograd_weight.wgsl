// Weights as values at the 6 points of winograd.wgsl: [KH, 3, PAIRS] -> [KH, 6, PAIRS]. An input gradient meets the taps
// of a row in reverse.

@group(0) @binding(0) var<storage, read_write> weight: array<Item>;
@group(0) @binding(1) var<storage, read_write> values: array<Item>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = first_item(group, lane);
  let end = end_of(first);
  for (var i = first; i < end; i += RUN) {
    let first_tap = i / PAIRS * (3 * PAIRS) + i % PAIRS;
#if INPUT_GRADIENT
    let c = weight[first_tap];
    let a = weight[first_tap + 2 * PAIRS];
#else
    let a = weight[first_tap];
    let c = weight[first_tap + 2 * PAIRS];
#end
    let b = weight[first_tap + PAIRS];
    let even = (a + c) * (-1.0 / 6.0);
    let odd = b * (-1.0 / 6.0);
    let far_even = a * (1.0 / 24.0) + c * (1.0 / 6.0);
    let far_odd = b * (1.0 / 12.0);
    let first_point = i / PAIRS * (6 * PAIRS) + i % PAIRS;
    values[first_point] = 0.25 * a;
    values[first_point + PAIRS] = even + odd;
    values[first_point + 2 * PAIRS] = even - odd;
    values[first_point + 3 * PAIRS] = far_even + far_odd;
    values[first_point + 4 * PAIRS] = far_even - far_odd;
    values[first_point + 5 * PAIRS] = c;
  }
}

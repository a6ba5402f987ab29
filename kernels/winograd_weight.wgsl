// Weights as values at the 6 points of winograd.wgsl, in the order in which conv2d_winograd.wgsl reads them: [KH, 3, CK,
// COLUMNS, OF_LANE], of which PAIRS belong to a tap, -> [COLUMNS / S, KH, CK / AV, 6, AV / PACK, S, PACK, OF_LANE], the last
// block of columns as long as the others. An input gradient meets the taps of a row in reverse.

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
    let channel = i % PAIRS / (COLUMNS * OF_LANE);
    let column = i / OF_LANE % COLUMNS;
    let chunk = (column / S * KH + i / PAIRS) * (CK / AV) + channel / AV;
    let of_point = (channel % AV / PACK * S + column % S) * PACK + channel % PACK;
    let first_point = (chunk * (6 * AV * S) + of_point) * OF_LANE + i % OF_LANE;
    let point = AV * S * OF_LANE;
    values[first_point] = 0.25 * a;
    values[first_point + point] = even + odd;
    values[first_point + 2 * point] = even - odd;
    values[first_point + 3 * point] = far_even + far_odd;
    values[first_point + 4 * point] = far_even - far_odd;
    values[first_point + 5 * point] = c;
  }
}

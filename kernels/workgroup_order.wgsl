// Which part of a product a workgroup computes: see `orderOf` (lib/ops/gemm.ts).

/// Its block of rows; and its block of columns, those of all groups of channels counted, behind those of other classes.
fn place_of(group: vec3<u32>) -> vec2<u32> {
  let place = group.y * GRID_X + group.x;
  return vec2<u32>(place / INNER, group.z + place % INNER * OUTER);
}

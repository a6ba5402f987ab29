// Which part of a product a workgroup computes: see `orderOf` (lib/ops/gemm.ts).

/// A workgroup's block of rows, and its block of columns, those of all groups of channels counted. Neighbours share rows
/// where COLUMNS_FIRST, otherwise columns.
fn place_of(group: vec3<u32>) -> vec2<u32> {
  let place = group.y * GRID_X + group.x;
#if COLUMNS_FIRST
  return vec2<u32>(place / COLUMN_BLOCKS, group.z * COLUMN_BLOCKS + place % COLUMN_BLOCKS);
#else
  return vec2<u32>(place, group.z);
#end
}

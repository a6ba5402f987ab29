// Indices of a kernel over COUNT items: each invocation of a workgroup of 64 takes ITEMS of them, 64 apart.
// Joined in front of the kernels that are one loop over a tensor; W is the width of Item (4 where the last axis
// allows).

#if W == 4
alias Item = vec4<f32>;
#else
alias Item = f32;
#end

fn first_item(group: vec3<u32>, lane: u32) -> u32 {
  return (group.y * GRID_X + group.x) * (64u * ITEMS) + lane;
}

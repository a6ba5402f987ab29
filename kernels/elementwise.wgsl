// Indices of a kernel over COUNT items: an invocation takes ITEMS of them, RUN apart, so that RUN neighbours walk side
// by side through RUN * ITEMS items. A CPU's subgroup of 8 then meets memory in order, which is twice as fast as items
// 64 apart; on a GPU 8 items of 16 bytes are a whole cache line. Where RUN is a multiple of the channels, all items
// of an invocation have the same channel.
// Joined in front of the kernels that are one loop over a tensor; W is the width of Item (4 where the last axis
// allows).

#if W == 4
alias Item = vec4<f32>;
#else
alias Item = f32;
#end

fn first_item(group: vec3<u32>, lane: u32) -> u32 {
  let invocation = (group.y * GRID_X + group.x) * 64u + lane;
  return invocation / RUN * (RUN * ITEMS) + invocation % RUN;
}

fn end_of(first: u32) -> u32 { return min(first + RUN * ITEMS, COUNT); }

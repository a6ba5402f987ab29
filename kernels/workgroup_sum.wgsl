// Ordered sum over the 64 invocations of a workgroup. Every invocation must call it.

var<workgroup> summands: array<f32, 64>;

fn workgroup_sum(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  summands[lane] = value;
  workgroupBarrier();
  if (lane < 32u) { summands[lane] += summands[lane + 32u]; }
  workgroupBarrier();
  if (lane < 16u) { summands[lane] += summands[lane + 16u]; }
  workgroupBarrier();
  if (lane < 8u) { summands[lane] += summands[lane + 8u]; }
  workgroupBarrier();
  if (lane < 4u) { summands[lane] += summands[lane + 4u]; }
  workgroupBarrier();
  if (lane < 2u) { summands[lane] += summands[lane + 2u]; }
  workgroupBarrier();
  if (lane < 1u) { summands[lane] += summands[lane + 1u]; }
  workgroupBarrier();
  return summands[0];
}

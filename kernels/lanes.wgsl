// Sums and maxima over the S lanes of a workgroup that walks one row: one subgroup where SUBGROUPS, otherwise through
// workgroup memory, in the order of the lanes. Every lane must call them. A lane takes a Part, W numbers, at once.

#if W == 4
alias Part = vec4<f32>;
fn total(part: Part) -> f32 { return (part.x + part.y) + (part.z + part.w); }
fn largest(part: Part) -> f32 { return max(max(part.x, part.y), max(part.z, part.w)); }
#else
alias Part = f32;
fn total(part: Part) -> f32 { return part; }
fn largest(part: Part) -> f32 { return part; }
#end

#if !SUBGROUPS
var<workgroup> of_lanes: array<f32, S>;
#end

fn sum_over_lanes(part: Part, lane: u32) -> f32 {
#if SUBGROUPS
  return subgroupAdd(total(part));
#else
  workgroupBarrier();
  of_lanes[lane] = total(part);
  workgroupBarrier();
  var sum = of_lanes[0];
#for k in 1..S
  sum += of_lanes[$k];
#end
  return sum;
#end
}

fn max_over_lanes(part: Part, lane: u32) -> f32 {
#if SUBGROUPS
  return subgroupMax(largest(part));
#else
  workgroupBarrier();
  of_lanes[lane] = largest(part);
  workgroupBarrier();
  var most = of_lanes[0];
#for k in 1..S
  most = max(most, of_lanes[$k]);
#end
  return most;
#end
}

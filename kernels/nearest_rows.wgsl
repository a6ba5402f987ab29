// The row of a bank that is most similar to each row, a row to a workgroup; of equal ones the first.
// similarities [ROWS, COLUMNS]; bank [COLUMNS, WIDTH]; output [ROWS, WIDTH].

@group(0) @binding(0) var<storage, read_write> similarities: array<f32>;
@group(0) @binding(1) var<storage, read_write> bank: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;

var<workgroup> best: array<f32, 64>;
var<workgroup> places: array<u32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * GRID_X + group.x;
  if (row >= ROWS) { return; }
  var most = -3.4028234663852886e38;
  var place = 0u;
  for (var column = lane; column < COLUMNS; column += 64u) {
    let similarity = similarities[row * COLUMNS + column];
    if (similarity > most) {
      most = similarity;
      place = column;
    }
  }
  best[lane] = most;
  places[lane] = place;
  workgroupBarrier();
  var winner = places[0];
  var highest = best[0];
  for (var other = 1u; other < min(64u, COLUMNS); other++) {
    if (best[other] > highest || (best[other] == highest && places[other] < winner)) {
      highest = best[other];
      winner = places[other];
    }
  }
  for (var i = lane; i < WIDTH; i += 64u) { output[row * WIDTH + i] = bank[winner * WIDTH + i]; }
}

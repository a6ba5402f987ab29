/**
 * The shapes and textures of the procedural task, as functions of a point in the plane.
 *
 * @module
 */

/** Shapes by number. Odd and even ones meet different textures in the source task: see `procedural.ts`. */
export const SHAPES = ["disc", "square", "triangle", "hexagon", "ring", "cross", "star", "crescent"] as const;

/** Textures by number. */
export const TEXTURES = ["plain", "stripes", "hatching", "checker", "dots", "speckle"] as const;

/** Half of the square root of 3. */
const SIN_60 = 0.8660254037844386;
/** Unit vectors at 90, 162, 234, 306 and 18 degrees: the outward normals of a pentagram's lines. */
const STAR_X = [0, -0.9510565162951535, -0.5877852522924731, 0.5877852522924731, 0.9510565162951535] as const;
const STAR_Y = [1, 0.30901699437494745, -0.8090169943749475, -0.8090169943749475, 0.30901699437494745] as const;

/**
 * Distance of a point from the outline of a shape of about unit radius, negative inside. Exact only near the outline,
 * which is all that antialiasing needs.
 */
export function shapeDistance(shape: number, x: number, y: number): number {
  const ax = Math.abs(x), ay = Math.abs(y);
  switch (SHAPES[shape]) {
    case "disc":
      return Math.sqrt(x * x + y * y) - 0.95;
    case "square":
      return Math.max(ax, ay) - 0.84;
    case "triangle":
      return Math.max(SIN_60 * ax - 0.5 * y, y) - 0.58;
    case "hexagon":
      return Math.max(SIN_60 * ax + 0.5 * ay, ay) - 0.9;
    case "ring":
      return Math.abs(Math.sqrt(x * x + y * y) - 0.7) - 0.3;
    case "cross":
      return Math.min(Math.max(ax - 1, ay - 0.36), Math.max(ay - 1, ax - 0.36));
    case "star":
      return starDistance(x, y);
    case "crescent":
      return Math.max(
        Math.sqrt(x * x + y * y) - 1,
        0.75 - Math.sqrt((x - 0.45) * (x - 0.45) + y * y),
      );
  }
  throw new RangeError(`Cannot draw shape ${shape}: there are ${SHAPES.length}`);
}

/** A pentagram is where at most one of the five half-planes is left: the second largest distance decides. */
function starDistance(x: number, y: number): number {
  let largest = -Infinity, second = -Infinity;
  for (let line = 0; line < 5; line++) {
    const distance = STAR_X[line] * x + STAR_Y[line] * y;
    if (distance > largest) {
      second = largest;
      largest = distance;
    } else if (distance > second) {
      second = distance;
    }
  }
  return second - 0.42;
}

/**
 * How much of the second colour a texture has at a point, 0 to 1.
 *
 * @param x in pixels
 * @param y in pixels
 * @param scale of the pattern; 1 is usual
 * @param salt makes speckles differ between objects
 */
export function textureShare(texture: number, x: number, y: number, scale: number, salt: number): number {
  switch (TEXTURES[texture]) {
    case "plain":
      return 0;
    case "stripes":
      return edge(wave(x, 6.4 * scale));
    case "hatching":
      return edge(wave(x, 3.6 * scale));
    case "checker":
      return edge(2 * wave(x, 6.4 * scale) * wave(y, 6.4 * scale));
    case "dots": {
      const dx = wave(x, 5 * scale) * 2, dy = wave(y, 5 * scale) * 2;
      return edge(0.45 - (1 - dx) * (1 - dx) / 2 - (1 - dy) * (1 - dy) / 2);
    }
    case "speckle":
      return speckle(Math.floor(x / (2 * scale)), Math.floor(y / (2 * scale)), salt);
  }
  throw new RangeError(`Cannot draw texture ${texture}: there are ${TEXTURES.length}`);
}

/** A triangle wave between -0.5 and 0.5. */
function wave(x: number, period: number): number {
  const phase = x / period - Math.floor(x / period);
  return Math.abs(phase - 0.5) * 2 - 0.5;
}

/** A soft step at 0. */
function edge(value: number): number {
  return Math.min(1, Math.max(0, value * 4 + 0.5));
}

/** 0 or 1 by a hash of a cell. */
function speckle(column: number, row: number, salt: number): number {
  let hash = Math.imul(column, 0x27d4eb2d) ^ Math.imul(row, 0x165667b1) ^ salt;
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
  return (hash >>> 16) & 1;
}

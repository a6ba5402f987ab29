/**
 * Images in another size.
 *
 * @module
 */

import { resize as resizeOperation, type ResizeTables, resizeTables } from "../../ops/resize.ts";
import type { AxisResize, NearestRounding, ResizeCoordinates } from "../../ops/resize_taps.ts";
import type { Tensor } from "../../ops/operation.ts";
import { image, IMAGE_ORDER, inOrder } from "../arrange.ts";
import type { NodeScope } from "../scope.ts";
import { identityOrder, type Value } from "../value.ts";

const MODES: readonly AxisResize["mode"][] = ["nearest", "linear", "cubic"];
const COORDINATES: readonly ResizeCoordinates[] = ["halfPixel", "pytorchHalfPixel", "alignCorners", "asymmetric"];
const ROUNDINGS: readonly NearestRounding[] = ["roundPreferFloor", "roundPreferCeil", "floor", "ceil"];

/** Most pixels of a side: the host lists the taps of each. */
const MAX_SIZE = 2 ** 16;

const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** An attribute that is one of a few names, which the file spells in snake_case. */
function oneOf<T extends string>(scope: NodeScope, name: string, known: readonly T[], otherwise: T): T {
  const found = scope.string(name, snakeCase(otherwise));
  return known.find((each) => snakeCase(each) === found) ??
    scope.fail(`its ${name} is ${found}; ${known.map(snakeCase).join(", ")} are supported`);
}

/** A list of numbers for all axes, where an optional input is there and not empty. */
function perAxis(scope: NodeScope, index: number, axes: readonly number[], otherwise: readonly number[]) {
  const stated = scope.has(index) ? scope.numbers(index) : [];
  if (stated.length === 0) return undefined;
  if (stated.length !== axes.length) scope.fail(`it states ${stated.length} sizes or scales for ${axes.length} axes`);
  return otherwise.map((value, axis) => axes.includes(axis) ? stated[axes.indexOf(axis)] : value);
}

/** How images [N, C, H, W] are resized along their last axes. */
function axesOf(scope: NodeScope, shape: readonly number[]): readonly AxisResize[] {
  if (scope.number("exclude_outside", 0) !== 0) {
    scope.fail("it leaves out what lies outside; repeated ends are supported");
  }
  if (scope.number("antialias", 0) !== 0) scope.fail("it smooths before it shrinks, which is not supported");
  oneOf(scope, "keep_aspect_ratio_policy", ["stretch"], "stretch");
  scope.ignore("extrapolation_value");
  // The region is of another mode; scales are there, though empty, where sizes are stated.
  scope.ignoreInput(1, 2);
  const how = {
    mode: oneOf(scope, "mode", MODES, "nearest"),
    coordinates: oneOf(scope, "coordinate_transformation_mode", COORDINATES, "halfPixel"),
    rounding: oneOf(scope, "nearest_mode", ROUNDINGS, "roundPreferFloor"),
    cubicCoefficient: scope.number("cubic_coeff_a", -0.75),
  };
  const axes = (scope.list("axes") ?? identityOrder(shape.length)).map((axis) => scope.axis(axis, shape.length));
  const sizes = perAxis(scope, 3, axes, shape);
  const scales = sizes ? undefined : perAxis(scope, 2, axes, shape.map(() => 1));
  const target = sizes ?? scales?.map((scale, axis) => Math.floor(shape[axis] * scale)) ??
    scope.fail("it states neither sizes nor scales");
  if (target[0] !== shape[0] || target[1] !== shape[1]) {
    scope.fail(`it makes [${target}] of [${shape}]; images are resized along their last two axes`);
  }
  const huge = target.find((size) => !(size <= MAX_SIZE));
  if (huge !== undefined) scope.fail(`it makes a side of ${huge} pixels; at most ${MAX_SIZE} are possible`);
  const wide = shape.slice(2).find((size) => !(size <= MAX_SIZE));
  if (wide !== undefined) scope.fail(`it resizes a side of ${wide} pixels; at most ${MAX_SIZE} are possible`);
  return [2, 3].map((axis) => ({ ...how, from: shape[axis], to: target[axis], scale: scales?.[axis] }));
}

/** `Resize` of images, to constant sizes or by constant scales. */
export function resize(scope: NodeScope): Value {
  const value = scope.device(0);
  const input = image(scope, value);
  const [rows, columns] = axesOf(scope, value.shape);
  const upload = (name: keyof ResizeTables): Tensor =>
    scope.constant(`${scope.name} ${name}`, [tables[name].length], tables[name]);
  const tables = resizeTables(rows, columns);
  const tensors = {
    rows: upload("rows"),
    columns: upload("columns"),
    rowsBack: upload("rowsBack"),
    columnsBack: upload("columnsBack"),
  };
  const operation = resizeOperation(scope.name, input, { height: rows.to, width: columns.to }, tensors);
  return inOrder(scope.apply(operation), IMAGE_ORDER);
}

/**
 * The objectives of self-supervised learning by name.
 *
 * @module
 */

import { UsageError } from "../../errors.ts";
import type { Objective, ObjectiveSettings } from "./objective.ts";
import { barlowTwins } from "./barlow_twins.ts";
import { byol } from "./byol.ts";
import { deepclusterv2 } from "./deepclusterv2.ts";
import { dino } from "./dino.ts";
import { mocov2plus } from "./mocov2plus.ts";
import { nnbyol } from "./nnbyol.ts";
import { nnclr } from "./nnclr.ts";
import { nnsiam } from "./nnsiam.ts";
import { ressl } from "./ressl.ts";
import { simclr } from "./simclr.ts";
import { simsiam } from "./simsiam.ts";
import { swav } from "./swav.ts";
import { vicreg } from "./vicreg.ts";
import { wmse } from "./wmse.ts";

const ALL = [
  barlowTwins,
  byol,
  deepclusterv2,
  dino,
  mocov2plus,
  nnbyol,
  nnclr,
  nnsiam,
  ressl,
  simclr,
  simsiam,
  swav,
  vicreg,
  wmse,
] as unknown as readonly Objective[];

/** Names of the objectives. */
export const OBJECTIVE_NAMES: readonly string[] = ALL.map(({ name }) => name);

/**
 * The objective of a name.
 *
 * @throws UsageError where there is none; its message lists those that there are
 */
export function objectiveOf(name: string): Objective {
  const found = ALL.find((objective) => objective.name === name);
  if (found === undefined) {
    throw new UsageError(`Cannot learn by the objective ${name}: there are ${OBJECTIVE_NAMES.join(", ")}`);
  }
  return found;
}

/**
 * An objective's settings: its defaults, and what is given of them.
 *
 * @throws UsageError where a setting is given that the objective has not
 */
export function settingsOf({ name, defaults }: Objective, given: ObjectiveSettings): ObjectiveSettings {
  const unknown = Object.keys(given).find((key) => !Object.hasOwn(defaults, key));
  if (unknown !== undefined) {
    throw new UsageError(
      `Cannot set ${unknown} of the objective ${name}: it has ${Object.keys(defaults).join(", ")}`,
    );
  }
  return { ...defaults, ...given };
}

/**
 * Chooses the learning rate and the strength of the prior of each of the demo's rivals by NLL, on images that the demo
 * never uses. Prints all that was tried, the best first; `rivals.ts` has the winners.
 *
 * `deno run -A tasks/demo/choose.ts`, about ten minutes on two CPU cores.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { proceduralDownstream } from "../../lib/data/procedural.ts";
import { balancedSubset, takeExamples } from "../../lib/data/subset.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { BUDGET, PRIOR_STEPS, TABLE_LABELS } from "./budget.ts";
import { RIVALS, runRival } from "./rivals.ts";
import { ENCODER, learnDemoPrior } from "./source.ts";

/** Not a seed of the demo: other examples, other subsets, other heads. */
const SEEDS = [101, 102];
const VALIDATION_PER_CLASS = 30;

using gpu = await openGpu();
const learned = await learnDemoPrior(gpu, PRIOR_STEPS, () => {});
const validation = proceduralDownstream({ seed: SEEDS[0], perClass: VALIDATION_PER_CLASS, split: "val" });
const pool = proceduralDownstream({ seed: SEEDS[0], perClass: 40, split: "train" });
const config = { encoder: ENCODER, numClasses: pool.classNames.length, height: pool.height, width: pool.width };
for (const rival of RIVALS) {
  const rows: { readonly text: string; readonly nll: number }[] = [];
  for (const setting of rival.search) {
    let nll = 0, accuracy = 0;
    for (const seed of SEEDS) {
      const train = takeExamples(pool, balancedSubset(pool, TABLE_LABELS, seed));
      const { metrics } = await runRival(
        gpu,
        rival,
        setting,
        { config, learned, train, test: validation },
        BUDGET,
        seed,
      );
      nll += metrics.nll / SEEDS.length;
      accuracy += metrics.accuracy / SEEDS.length;
    }
    const text = `${JSON.stringify(setting)}: accuracy ${(100 * accuracy).toFixed(1)} %, NLL ${nll.toFixed(3)}`;
    console.error(`${rival.name}, ${text}`);
    rows.push({ text, nll });
  }
  console.log(rival.name);
  for (const { text } of rows.toSorted((a, b) => a.nll - b.nll)) console.log(`  ${text}`);
}

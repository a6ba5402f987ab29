/** Flags that contradict each other, or that nothing would read, are refused before any work. */

import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../lib/errors.ts";
import { parseFlags } from "../../tasks/cli/flags.ts";
import { command as evaluate, requireConsistentFlags as requireEvaluate } from "../../tasks/commands/evaluate.ts";
import { command as infer } from "../../tasks/commands/infer.ts";
import { requireConsistentFlags as requireInfer } from "../../tasks/commands/infer_flags.ts";
import { command as prior } from "../../tasks/commands/prior.ts";
import { flagRemarks, requireConsistentFlags as requirePrior } from "../../tasks/commands/prior_flags.ts";
import { snapshotRemarks } from "../../tasks/commands/prior_schedule.ts";
import { resumedFlags, settingsOf } from "../../tasks/commands/resumed_flags.ts";

/** Arguments that are taken, and those that are refused with what the message begins with. */
type Cases = readonly (readonly [args: string, refused?: string])[];

function check(require: (args: string[]) => void, cases: Cases): void {
  for (const [args, refused] of cases) {
    const run = () => require(args.split(" ").filter((arg) => arg !== ""));
    if (refused === undefined) run();
    else assertThrows(run, UsageError, refused, args);
  }
}

Deno.test("prior refuses flags that its method, schedule or objective does not read", () => {
  check((args) => requirePrior(prior.flags, parseFlags(prior, ["--out", "p", ...args])), [
    ["--weights-path w"],
    ["", "Cannot learn a prior: a pre-trained network is required"],
    ["--pretrain-epochs 0", "Cannot learn a prior: a pre-trained network is required"],
    ["--pretrain-epochs 9 --warmup-epochs 1 --lr 0.1"],
    ["--weights-path w --pretrain-epochs 9"],
    ["--weights-path w --lr 1", "Cannot use --lr without --pretrain-epochs"],
    ["--pretrain-epochs 9 --optimizer adamw", "Cannot use --optimizer with --objective supervised"],
    ["--weights-path w --method fisher --pretrain-epochs 9", "Cannot use --pretrain-epochs with --method fisher"],
    ["--method fisher", "Cannot learn a prior: a pre-trained network is required"],
    ["--weights-path w --method laplace --fisher-examples 7 --source-precision 2 --weight-decay 1 --no-autotune"],
    ["--weights-path w --method laplace --epochs 2", "Cannot use --epochs with --method laplace: it trains nothing"],
    ["--weights-path w --method fisher --subspace pca", "Cannot use --subspace with --method fisher"],
    ["--weights-path w --method fisher --chains 2", "Cannot use --chains with --method fisher"],
    ["--weights-path w --method fisher --precision mixed", "Cannot use --precision with --method fisher"],
    ["--weights-path w --method fisher --profile d", "Cannot use --profile with --method fisher"],
    ["--weights-path w --method fisher --autotune", "Cannot use --autotune with --method fisher"],
    ["--weights-path w --fisher-examples 7", "Cannot use --fisher-examples with --method swag"],
    ["--weights-path w --source-precision 1", "Cannot use --source-precision with --method swag"],
    ["--weights-path w --n-samples 4 --n-cycles 2"],
    ["--weights-path w --interval-steps 2", "Cannot use --interval-steps with --swag-scheduler cyclic"],
    ["--weights-path w --anneal-from 1", "Cannot use --anneal-from with --swag-scheduler cyclic"],
    ["--weights-path w --swag-scheduler constant --interval-steps 2 --anneal-from 1 --annealing-epochs 3"],
    ["--weights-path w --swag-scheduler constant --annealing-epochs 3", "Cannot use --annealing-epochs without"],
    ["--weights-path w --swag-scheduler constant --n-samples 4", "Cannot use --n-samples with --swag-scheduler const"],
    ["--weights-path w --temperature 1", "Cannot use --temperature with --objective supervised"],
    ["--objective simclr"],
    ["--objective simclr --pretrain-epochs 2 --lr 1 --optimizer lars --eta-lars 1 --no-autotune"],
    ["--objective simclr --onnx f"],
    ["--objective simclr --knn-every 1 --classifier-lr 0.3"],
    ["--objective simclr --classifier-lr 0.1", "Cannot use --classifier-lr without --knn-every"],
    ["--objective simclr --knn-every 0 --classifier-lr 0.1", "Cannot use --classifier-lr without --knn-every"],
    ["--objective byol --knn-every 1 --momentum-classifier"],
    ["--objective byol --momentum-classifier", "Cannot use --momentum-classifier without --knn-every"],
    ["--weights-path w --momentum-classifier", "Cannot use --momentum-classifier with --objective supervised"],
    ["--weights-path w --classifier-lr 0.1", "Cannot use --classifier-lr with --objective supervised"],
    ["--objective simclr --lr 1", "Cannot use --lr without --pretrain-epochs"],
    ["--objective simclr --grad-clip-lars", "Cannot use --grad-clip-lars without --optimizer lars"],
    ["--objective swav --small-crop-size 8", "Cannot use --small-crop-size without --num-small-crops"],
    ["--objective simclr --label-smoothing 0.1", "Cannot use --label-smoothing with --objective simclr"],
    ["--objective simclr --recompute", "Cannot use --recompute with --objective simclr"],
    ["--objective simclr --precision mixed", "Cannot use --precision with --objective simclr"],
    ["--objective simclr --augmentation flip", "Cannot use --augmentation with --objective simclr"],
    ["--objective simclr --autotune", "Cannot use --autotune with --objective simclr"],
    ["--objective simclr --optimizer lars --momentum 0.3"],
    ["--objective simclr --optimizer adamw --momentum 0.3", "Cannot use --momentum with --optimizer adamw"],
    ["--objective simclr --transforms original"],
    ["--objective simclr --normalisation cifar10"],
    [
      "--objective simclr --transforms original --normalisation cifar10",
      "Cannot use --transforms with --objective simclr and --normalisation",
    ],
  ]);
});

Deno.test("prior and infer refuse flags of the data that their sets do not read", () => {
  check((args) => requirePrior(prior.flags, parseFlags(prior, ["--out", "p", ...args])), [
    ["--objective simclr --knn-every 1 --val-dataset cifar10.1 --data-dir d"],
    ["--objective simclr --knn-every 1 --val-dir d"],
    ["--objective simclr --knn-every 1 --val-dataset cifar10-c --corruption fog --severity 1"],
    ["--objective simclr --val-dataset cifar10", "Cannot use --val-dataset without --knn-every"],
    ["--objective simclr --val-dataset nonsense", "Cannot use --val-dataset without --knn-every"],
    ["--objective simclr --knn-every 1 --val-dataset nonsense", 'Cannot load the data set "nonsense"'],
    ["--objective simclr --val-dir d", "Cannot use --val-dir without --knn-every"],
    ["--objective simclr --corruption fog", "Cannot use --corruption without --knn-every"],
    ["--objective simclr --knn-every 1 --val-split 0.1"],
    ["--objective simclr --knn-every 1 --val-split 0.1 --val-dir d", "Cannot use --val-dir with --val-split"],
    ["--weights-path w --val-dataset cifar10", "Cannot use --val-dataset with --objective supervised"],
    ["--weights-path w --val-dir d --method fisher", "Cannot use --val-dir with --objective supervised"],
    ["--weights-path w --train-dataset stl10 --train-dir unlabelled --data-dir d"],
    ["--weights-path w --train-dataset procedural-source"],
    ["--weights-path w --train-dataset procedural_source --train-dir foo", "Cannot use --train-dir with procedural-"],
    ["--weights-path w --train-dataset procedural-source --data-dir d", "Cannot use --data-dir with procedural-source"],
    ["--objective simclr --train-dataset procedural-source --knn-every 1 --val-dataset cifar10 --data-dir d"],
    ["--weights-path w --train-dataset custom --cache-dir c --cache-size 1 --class-list l"],
    ["--weights-path w --cache-dir c", "Cannot use --cache-dir with cifar10: nothing is decoded"],
    ["--weights-path w --train-dataset stl10 --cache-size 1", "Cannot use --cache-size with stl10: nothing is decoded"],
    ["--weights-path w --class-list l", "Cannot use --class-list with cifar10: the classes are fixed"],
  ]);
  check((args) => requireInfer(infer.flags, parseFlags(infer, ["--out", "r", "--prior-type", "none", ...args])), [
    ["--val-dataset cifar10.1 --data-dir d"],
    ["--val-dir d"],
    ["--val-dataset cifar10.1 --val-dir other", "Cannot use --val-dir with cifar10.1: it has no folder of validation"],
    ["--val-dataset cifar10_1-v6 --val-dir other", "Cannot use --val-dir with cifar10.1-v6"],
    ["--val-dataset cifar10.1 --corruption fog", "Cannot use --corruption with cifar10.1: --val-dataset cifar10-c is"],
    ["--severity 2", "Cannot use --severity with cifar10: --val-dataset cifar10-c is required"],
    ["--val-split 0.1 --val-dataset cifar10.1", "Cannot use --val-dataset with --val-split"],
    ["--train-dataset flowers17 --val-dataset oxfordpets --cache-dir c"],
    ["--val-dataset cifar10.1 --cache-dir c", "Cannot use --cache-dir with cifar10 and cifar10.1: nothing is decoded"],
  ]);
});

Deno.test("prior says what --transforms means for views, and where the steps have no room for --n-samples", () => {
  const of = (...args: string[]) => parseFlags(prior, ["--out", "p", ...args]);
  const [said, ...more] = flagRemarks(of("--objective", "simclr", "--transforms", "original"));
  assertEquals(said.startsWith("--transforms original says with --objective simclr which normalisation"), true);
  assertEquals(more, []);
  assertEquals(flagRemarks(of("--objective", "simclr")), []);
  assertEquals(flagRemarks(of("--transforms", "original")), []);
  const snapshots = (...args: string[]) => snapshotRemarks(of("--n-samples", "60", ...args), 100);
  assertEquals(snapshots("--max-steps", "8"), [
    "8 snapshots, not the 60 of --n-samples: one a step, and 8 steps are taken",
  ]);
  assertEquals(snapshots("--max-steps", "8", "--start-swag", "3")[0].startsWith("6 snapshots, not the 60"), true);
  assertEquals(snapshots("--max-steps", "60"), []);
  assertEquals(snapshotRemarks(of("--swag-scheduler", "constant", "--max-steps", "8"), 100), []);
});

Deno.test("infer refuses flags that its prior, schedule or sampler does not read", () => {
  check((args) => requireInfer(infer.flags, parseFlags(infer, ["--out", "run", ...args])), [
    ["--prior-path p.safetensors --number-of-samples-prior 2 --prior-eps 0"],
    ["", "Cannot use --prior-type shifted_gaussian without a learned prior"],
    ["--prior-path p --prior-normalisation raw"],
    ["--prior-path p.safetensors --prior-normalisation raw", "Cannot use --prior-normalisation without"],
    ["--prior-type isotropic --weights-path w --prior-scale 2"],
    ["--prior-type isotropic --onnx w"],
    ["--prior-type isotropic", "Cannot use --prior-type isotropic without pre-trained weights"],
    ["--prior-type normal --prior-eps 1", "Cannot use --prior-eps with --prior-type normal"],
    ["--prior-type isotropic --prior-path p --number-of-samples-prior 2", "Cannot use --number-of-samples-prior with"],
    ["--prior-type none --prior-scale 2", "Cannot use --prior-scale with --prior-type none"],
    ["--prior-type none --schedule cyclical --n-cycles 2"],
    ["--prior-type none --n-cycles 2", "Cannot use --n-cycles with --schedule cosine"],
    ["--prior-type none --n-cycles 4", "Cannot use --n-cycles with --schedule cosine"],
    ["--prior-type none --sampler sgd --no-nesterov --momentum 0"],
    ["--prior-type none --sampler sgd --temperature 0", "Cannot use --temperature with --sampler sgd"],
    ["--prior-type none --sampler sgd --n-samples 1"],
    ["--prior-type none --sampler sgd --n-samples 2", "Cannot use --n-samples with --sampler sgd"],
    ["--prior-type none --no-nesterov", "Cannot use --no-nesterov with --sampler sghmc"],
    ["--prior-type none --sampler sgld --momentum 0.5", "Cannot use --momentum with --sampler sgld"],
  ]);
});

Deno.test("evaluate refuses flags that a run answers itself, and those of --laplace without it", () => {
  check((args) => requireEvaluate(parseFlags(evaluate, args)), [
    ["--weights-path w --seed 2 --batch-size 7 --normalisation cifar10"],
    ["--weights-path w --laplace diagonal --train-dir t --precision f32", "Cannot use --precision with --laplace"],
    ["--weights-path w --laplace diagonal --train-dir t"],
    ["--weights-path w --laplace diagonal --laplace-precision 0", "Cannot use --laplace-precision 0"],
    ["", "Cannot evaluate: exactly one of --run and --weights-path"],
    ["--run r --weights-path w", "Cannot evaluate: exactly one of --run and --weights-path"],
    ["--run r --onnx f --precision mixed --kernel-schedule gpu"],
    ["--run r --laplace diagonal", "Cannot use --laplace with --run"],
    ["--weights-path w --laplace-precision 1", "Cannot use --laplace-precision without --laplace"],
    ["--run r --batch-size 7", "Cannot use --batch-size with --run"],
    ["--run r --normalisation cifar10", "Cannot use --normalisation with --run"],
    ["--run r --encoder resnet20", "Cannot use --encoder with --run"],
    ["--run r --encoder resnet50", "Cannot use --encoder with --run"],
    ["--run r --seed 1", "Cannot use --seed with --run"],
    ["--run r --compat", "Cannot use --compat with --run"],
  ]);
});

Deno.test("--resume takes the recorded settings, places and reports from the command line, and nothing else", () => {
  const began = ["--out", "a", "--prior-path", "p", "--data-dir", "d", "--chains", "2", "--checkpoint-steps", "3"];
  began.push("--lr", "0.02", "--temperature", "0.1", "--train-dataset", "procedural-source");
  const recorded = JSON.parse(JSON.stringify(settingsOf({ ...parseFlags(infer, began), kernelSchedule: "cpu" })));
  const resume = (args: string) =>
    resumedFlags(
      infer.flags,
      parseFlags(infer, ["--out", "b", "--resume", ...args.split(" ").filter(Boolean)]),
      recorded,
    );
  const flags = resume("--json --prior-path q --chains 2 --kernel-schedule cpu --no-autotune");
  assertEquals([flags.out, flags.json, flags.priorPath, flags.dataDir], ["b", true, "q", "d"]);
  assertEquals([flags.chains, flags.checkpointSteps, flags.kernelSchedule, flags.autotune], [2, 3, "cpu", false]);
  assertEquals(resume("--kernel-schedule auto --lr 0.02 --epochs 10").kernelSchedule, "cpu");
  check((args) => resume(args.join(" ")), [
    // These are the defaults.
    ["--lr 0.01", "Cannot use --lr with --resume: what goes on began with 0.02, and its own settings are required"],
    ["--temperature 1", "Cannot use --temperature with --resume: what goes on began with 0.1"],
    ["--train-dataset cifar10", "Cannot use --train-dataset with --resume: what goes on began with procedural-source"],
    ["--chains 1", "Cannot use --chains with --resume: what goes on began with 2"],
    ["--chains 4", "Cannot use --chains with --resume: what goes on began with 2, and its own settings are required"],
    ["--max-steps 9", "Cannot use --max-steps with --resume: what goes on began without it"],
    ["--onnx f", "Cannot use --onnx with --resume: what goes on began without it"],
    ["--no-nesterov", "Cannot use --no-nesterov with --resume: what goes on began with --nesterov"],
    ["--kernel-schedule gpu", "Cannot use --kernel-schedule with --resume: what goes on began with cpu"],
  ]);
});

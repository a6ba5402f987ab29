import { assert } from "@std/assert";
import { NORMALISATIONS } from "../../../lib/data/normalisation.ts";
import { learnSelfSupervised } from "../../../lib/inference/objectives/learn.ts";
import { objectiveOf, settingsOf } from "../../../lib/inference/objectives/objectives.ts";
import { cosine } from "../../../lib/inference/schedules.ts";
import { layoutModel } from "../../../lib/models/device_model.ts";
import { initialWeights } from "../../../lib/models/weights.ts";
import { gpuTests } from "../../gpu/harness.ts";
import { instanceAccuracy, NETWORK, trainingImages, VIEW } from "./instances.ts";

/** Steps of 32 images, two views each: a tenth of what the objectives need for features of classes. */
const STEPS = 60;

const gpuTest = gpuTests();

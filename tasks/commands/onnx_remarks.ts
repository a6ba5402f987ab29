/**
 * What one should know of an ONNX file before its network is trained.
 *
 * @module
 */

import { isFolded, isTrainingExport } from "../../lib/onnx/export_mode.ts";
import type { OnnxModel } from "../../lib/onnx/model.ts";
import { workedOutOperands } from "../../lib/onnx/parameters.ts";
import { frozenWeights, imageOperands, separatedWeights } from "../../lib/onnx/training_facts.ts";

const REMEDY = "tasks/torchvision_to_onnx.py exports it as it is";
/** Most names of a list. */
const MAX_NAMED = 4;

function listed(names: readonly string[]): string {
  const more = names.length > MAX_NAMED ? `, ... (${names.length})` : "";
  return names.slice(0, MAX_NAMED).join(", ") + more;
}

/** Where a file's weights are not quite the network's own, or train otherwise than they may seem to, in lines for people. */
export function exportRemarks(model: OnnxModel): string[] {
  const constants = workedOutOperands(model), frozen = frozenWeights(model);
  const onImages = imageOperands(model), separated = separatedWeights(model);
  const { furtherOutputs = [] } = model;
  const lines: readonly (readonly [boolean, string])[] = [
    [
      isFolded(model),
      `BatchNorm is folded into convolutions, which train as such, with biases: not as the network does; ${REMEDY}`,
    ],
    [
      isTrainingExport(model),
      `it was exported in training mode, which moved every running statistic by one step; ${REMEDY}`,
    ],
    [
      constants.length > 0,
      "tensors that the exporter worked out itself do not train, though they may have been made of weights " +
      `(${constants.length}, ${constants[0]} the first); ${REMEDY}`,
    ],
    [
      frozen.length > 0,
      `weights that no layer and no arithmetic reads directly do not train, and no prior is over them: ${
        listed(frozen)
      }`,
    ],
    [
      onImages.length > 0,
      `tensors that scale or shift the images themselves train, though they may be no weights: ${listed(onImages)}`,
    ],
    [
      separated.length > 0,
      `weights that the file holds once train apart, though the network may share them: ${listed(separated)}`,
    ],
    [
      furtherOutputs.length > 0,
      `its first output is taken for the logits; others are left out: ${listed(furtherOutputs)}`,
    ],
    [model.normalisation !== undefined, "it normalises its images itself: nothing is done to them before"],
  ];
  return lines.flatMap(([holds, line]) => holds ? [line] : []);
}

/**
 * Bayesian transfer learning with pre-trained priors, on WebGPU ("Pre-Train Your Loss", arXiv 2205.10279).
 *
 * Learn a Gaussian prior over a backbone's weights on a source task, sample the posterior of a downstream task under
 * it, average the samples' predictions, and say how far to trust them.
 *
 * ```ts
 * import { computeMetrics, reliability, softmax } from "./mod.ts";
 *
 * const probabilities = softmax(new Float32Array([2, 0, 0, 1]), 2);
 * const { accuracy, nll } = computeMetrics(probabilities, new Uint32Array([0, 1]));
 * if (accuracy !== 1 || Math.abs(nll - 0.2201) > 1e-4) throw new Error(`${accuracy}, ${nll}`);
 * if (reliability(probabilities, new Uint32Array([0, 1])).length !== 15) throw new Error("15 bins");
 * ```
 *
 * README.md shows a prior learned and used in 15 lines.
 *
 * @module
 */

export * from "./lib/errors.ts";
export { type DType, type HostTensor, type StateDict, type TensorData } from "./lib/tensor.ts";

export {
  type AdapterDescription,
  type BindingKind,
  Gpu,
  type GpuOptions,
  type ImageFormat,
  type KernelSchedule,
  openGpu,
} from "./lib/gpu/device.ts";
export { type TuningTable } from "./lib/gpu/tuning_table.ts";
export type { ImageCopy } from "./lib/gpu/images.ts";
export { type BufferRange, type Launch } from "./lib/gpu/launch.ts";
export { type LaunchWork, type ProfiledStep, Profiler, type ProfilerOptions, type Span } from "./lib/gpu/profiler.ts";

export { type ClassifierConfig, ENCODERS } from "./lib/models/network.ts";
export { type Initial } from "./lib/models/initial.ts";
export {
  DeviceModel,
  type FlatVector,
  layoutModel,
  type ModelLayouts,
  type ModelVectors,
  type Parameter,
  type ParameterLayout,
  type Role,
  type Segment,
  type Tensor,
  type VectorEntry,
  type VectorLayout,
} from "./lib/models/device_model.ts";
export {
  type ExportedWeights,
  type OnnxExportOptions,
  type OnnxFileOptions,
  type OnnxFiles,
  writeOnnx,
} from "./lib/models/export.ts";
export { type ResnetConfig, RESNETS, type Shortcut } from "./lib/models/resnet.ts";
export {
  initialWeights,
  type LoadOptions,
  stateDictFromWeights,
  type Weights,
  weightsFromStateDict,
} from "./lib/models/weights.ts";

export { type OnnxNetwork, onnxNetwork } from "./lib/onnx/network.ts";
export { type Head } from "./lib/onnx/head.ts";
export { type AttributeValue, type OnnxModel, type OnnxNode, type UnreadAttribute } from "./lib/onnx/model.ts";
export { type ImageNormalisation } from "./lib/onnx/image_metadata.ts";
export { readOnnxModel } from "./lib/onnx/read.ts";

export { type ExternalReader } from "./lib/checkpoint/onnx_external.ts";
export { type CheckpointOptions, readCheckpoint } from "./lib/checkpoint/state_dict.ts";
export { readSafetensors, type Safetensors, writeSafetensors } from "./lib/checkpoint/safetensors.ts";
export { type PickleGlobal, type PickleRecord, type PickleValue } from "./lib/checkpoint/pickle_value.ts";
export {
  type HostOrStorage,
  readTorch,
  type TorchStorage,
  type TorchValue,
  writeTorch,
} from "./lib/checkpoint/torch.ts";
export { readNpy, readNpz, writeNpy, writeNpz } from "./lib/checkpoint/npy.ts";

export { type Augmentation, type AugmentationName, AUGMENTATIONS, type ImageSize } from "./lib/data/augment.ts";
export { type SourceSize } from "./lib/data/augmentation/placements.ts";
export { type ColourJitter, type View, type ViewResize, type ViewWindow } from "./lib/data/augmentation/view.ts";
export { type ViewGroup } from "./lib/data/augmentation/view_source.ts";
export {
  type ImageFacts,
  type ImageLocation,
  type ImageSet,
  type ImageSource,
  type ImageStream,
} from "./lib/data/dataset.ts";
export { type Fit, type ResizeMode } from "./lib/data/fit.ts";
export { type DatasetRequest, type DatasetSplit, loadDataset, openDataset } from "./lib/data/load.ts";
export {
  type ChannelValues,
  type Normalisation,
  type NormalisationName,
  NORMALISATIONS,
} from "./lib/data/normalisation.ts";
export { readTrimap, TRIMAP, type Trimap } from "./lib/data/oxford_pets.ts";
export { type PixelCache, type SharedPixelCache } from "./lib/data/pixel_cache.ts";
export {
  proceduralDownstream,
  type ProceduralOptions,
  proceduralSource,
  type ProceduralSourceOptions,
  type ProceduralSplit,
} from "./lib/data/procedural.ts";
export { type Recipe, RECIPES } from "./lib/data/recipes.ts";
export { holdStream } from "./lib/data/render.ts";
export { serveRenderJobs } from "./lib/data/render_thread.ts";
export { type Filter } from "./lib/data/resample_weights.ts";
export { type Box, type RgbImage } from "./lib/data/resize.ts";
export { balancedSubset, type Split, splitTrainVal, takeExamples } from "./lib/data/subset.ts";

export { type Gaussian, isotropic, logDensity, type PriorScaling, shiftedGaussian } from "./lib/priors/gaussian.ts";
export { type HalfPrior, readPrior, writeHalfPrior, writePrior } from "./lib/priors/files.ts";
export { type StorageError } from "./lib/priors/half.ts";
export { type HeadAxes, type HeadGaussian, type HeadPrior, scaleHead } from "./lib/priors/head_gaussian.ts";
export { type ParameterShape } from "./lib/priors/parameter_order.ts";
export { type RowScaling } from "./lib/priors/normalisation.ts";
export { type PriorParts, type PriorPartsOptions, readPriorParts, writePriorParts } from "./lib/priors/parts.ts";
export { type PriorFile, type PriorMetadata } from "./lib/priors/prior_file.ts";
export { type CurvatureOptions, curvaturePrior } from "./lib/priors/curvature.ts";
export { type SwagKind } from "./lib/priors/kinds.ts";
export { type MergedSwag, type MergeOptions, mergeSwag } from "./lib/priors/merge.ts";
export { type Subspace, type SubspaceOptions } from "./lib/priors/subspace/collector.ts";
export { type SketchState } from "./lib/priors/subspace/sketch.ts";
export { type PcaRank } from "./lib/priors/subspace/principal_components.ts";
export { type DrawOptions, drawSwag, SwagSampler } from "./lib/priors/draw.ts";
export { type Swag, type SwagOptions, type SwagState } from "./lib/priors/swag.ts";

export { autotuneClassifier } from "./lib/inference/autotune.ts";
export { type AutotuneOptions } from "./lib/tuning/autotune.ts";
export { type SearchOptions, type SearchResult, type SearchRow } from "./lib/tuning/search.ts";

export { type ChainOptions, type Sample, samplePosterior } from "./lib/inference/chain.ts";
export { type Chains, diagnose, type Diagnosis } from "./lib/inference/diagnostics.ts";
export {
  type LearnedPrior,
  learnPrior,
  type LearnPriorHooks,
  type LearnPriorOptions,
  type PriorCheckpoint,
} from "./lib/inference/learn_prior.ts";
export { fisherDiagonal, type FisherLabels, type FisherOptions } from "./lib/inference/fisher.ts";
export {
  type HeadCurvature,
  type LastLayerData,
  LastLayerLaplace,
  type LastLayerOptions,
} from "./lib/inference/last_layer.ts";
export { fitLastLayer } from "./lib/inference/last_layer_fit.ts";
export { type LoopHooks } from "./lib/inference/loop.ts";
export { mergeChains, type MergeChainsOptions, type MergedPrior } from "./lib/inference/multi_swag.ts";
export { type FeatureEvaluation } from "./lib/inference/features.ts";
export {
  learnSelfSupervised,
  type LearnSelfSupervisedOptions,
  type SelfSupervisedHooks,
} from "./lib/inference/objectives/learn.ts";
export { type ObjectiveSettings } from "./lib/inference/objectives/objective.ts";
export { OBJECTIVE_NAMES } from "./lib/inference/objectives/objectives.ts";
export { type LossMetrics } from "./lib/inference/objectives/session.ts";
export { type OptimiserName, OPTIMISERS, type OptimiserSettings } from "./lib/inference/optimisers/optimiser.ts";
export { pretraining, type PretrainingOptions } from "./lib/inference/pretraining.ts";
export { averagePredictions, type PredictionOptions, PredictionSession } from "./lib/inference/prediction.ts";
export { type PriorStep, type SamplerName, type SamplerSettings } from "./lib/inference/samplers.ts";
export {
  constant,
  cosine,
  cyclical,
  type CyclicalOptions,
  type SamplingOptions,
  type Schedule,
} from "./lib/inference/schedules.ts";
export {
  constantSwag,
  type ConstantSwagOptions,
  cyclicalSwag,
  type CyclicalSwagOptions,
  type OriginalCounting,
} from "./lib/inference/swag_schedules.ts";
export { type StepMetrics } from "./lib/inference/metrics_ring.ts";
export {
  type LossScaleOptions,
  type Precision,
  type SamplerState,
  type TrainingOptions,
} from "./lib/inference/training.ts";

export { type ReliabilityBin } from "./lib/evaluation/calibration.ts";
export { computeMetrics, type Metrics, reliability } from "./lib/evaluation/metrics.ts";
export { ModelAverage } from "./lib/evaluation/model_average.ts";
export { type Curve, type CurvePoint } from "./lib/evaluation/line_chart.ts";
export {
  renderReport,
  type Report,
  type ReportCell,
  type ReportColumn,
  type ReportReliability,
} from "./lib/evaluation/report.ts";
export { type Logits, type Probabilities, softmax } from "./lib/evaluation/softmax.ts";

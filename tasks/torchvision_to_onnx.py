"""Export a torchvision network to ONNX with every weight under PyTorch's own name.

    python3 tasks/torchvision_to_onnx.py resnet18 --weights resnet18.pth --out resnet18.onnx

BatchNorm stays apart from the convolutions (TrainingMode.PRESERVE on the network in evaluation mode, no constant
folding). A TRAINING export would run one batch through BatchNorm and so move every running statistic by one step.
"""

import argparse
import sys

import torch
import torchvision

# What torchvision's networks tell apart unless told otherwise: the classes of ImageNet.
CLASSES = 1000


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name of the network in torchvision.models, such as resnet50")
    parser.add_argument("--weights", metavar="FILE", help="state dictionary; without it the weights are random")
    parser.add_argument("--out", metavar="FILE", required=True, help="the ONNX file to write")
    parser.add_argument("--opset", type=int, default=14, help="version of the ONNX operators (default: 14)")
    parser.add_argument("--size", type=int, default=224, help="height and width of the input (default: 224)")
    return parser.parse_args()


def load_state_dict(path):
    found = torch.load(path, map_location="cpu")
    state = found.get("state_dict", found)
    return {name[len("module."):] if name.startswith("module.") else name: tensor for name, tensor in state.items()}


def classes_of(model, state, weights):
    """The head comes last in every family, whatever its name; both its weight and its bias count the classes first."""
    head = list(model.state_dict())[-1]
    if head not in state:
        sys.exit(f"{weights} has no {head}, which says how many classes the network tells apart")
    return state[head].shape[0]


def build(name, weights):
    factory = getattr(torchvision.models, name, None)
    if not callable(factory):
        sys.exit(f"torchvision.models has no network named {name}")
    model = factory()
    if weights is not None:
        state = load_state_dict(weights)
        classes = classes_of(model, state, weights)
        if classes != CLASSES:
            model = factory(num_classes=classes)
        model.load_state_dict(state)
    return model.eval()


def check(model, before):
    """The export must have left every weight and running statistic as it was."""
    for name, tensor in model.state_dict().items():
        if not torch.equal(tensor, before[name]):
            sys.exit(f"The export changed {name}; the file is not to be used")


def main():
    arguments = parse_arguments()
    model = build(arguments.model, arguments.weights)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.onnx.export(
        model,
        torch.zeros(1, 3, arguments.size, arguments.size),
        arguments.out,
        opset_version=arguments.opset,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        input_names=["input"],
        output_names=["output"],
        dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}},
    )
    check(model, before)
    print(f"{arguments.out}: {arguments.model}, {len(before)} tensors, opset {arguments.opset}")


if __name__ == "__main__":
    main()

"""PyTorch on the CPU for the bench: a process that takes steps on demand.

The first line of stdin is the problem; then each line is a command, answered by one line of JSON:
{"steps": n} -> {"loss": mean loss of the last step, before its update}; {"weights": path} -> {} once the file is written.
"""

import json
import pathlib
import sys

import numpy
import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "tests" / "fixtures"))


def build(encoder, depth, classes):
    if depth is not None:
        from resnet_cifar import ResNetCifar

        return ResNetCifar(depth, classes)
    import torchvision

    return getattr(torchvision.models, encoder)(num_classes=classes)


def main():
    problem = json.loads(sys.stdin.readline())
    torch.set_num_threads(problem["threads"])
    folder = pathlib.Path(problem["folder"])
    batch, size = problem["batchSize"], problem["size"]
    model = build(problem["encoder"], problem["depth"], problem["numClasses"]).train()
    parameters = dict(model.named_parameters())
    names = [name for name, _ in problem["parameters"]]
    assert names == list(parameters), "the parameters' order differs"
    flat = torch.from_numpy(numpy.fromfile(folder / "weights.f32", "<f4"))
    torch.nn.utils.vector_to_parameters(flat, parameters.values())
    images = torch.from_numpy(numpy.fromfile(folder / "images.f32", "<f4").reshape(batch, size, size, 3))
    images = images.permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(numpy.fromfile(folder / "labels.u32", "<u4").astype(numpy.int64))
    optimizer = torch.optim.SGD(model.parameters(), problem["learningRate"], problem["momentum"])
    print(json.dumps({"version": torch.__version__}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        reply = {}
        for _ in range(command.get("steps", 0)):
            optimizer.zero_grad(set_to_none=True)
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            reply = {"loss": loss.item()}
        if "weights" in command:
            torch.nn.utils.parameters_to_vector(model.parameters()).detach().numpy().tofile(command["weights"])
        print(json.dumps(reply), flush=True)


main()

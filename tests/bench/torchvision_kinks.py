#!/usr/bin/python3
"""How far a gradient is from PyTorch's float64 when every rectifier and maximum is on the same side: `torchvision_kinks.py
NAME FOLDER`.

FOLDER holds expected.bin of torchvision_models.py, and own.safetensors: `gradient <parameter>`, and in the order of execution
what each ReLU (`relu 0`, ...) and ReLU6 (`clip 0`, ...) gave and what each max pooling (`maxPool 0`, ...) read, as [N, H, W, C]
or [N, C]. In float64 the network runs on its own values, but each unit's derivative is that of the side on which own.safetensors
has it. The last line of the output is JSON: how many units that moves, the largest distance of one from its kink relative to the
root mean square of its layer, and the error of the gradient that is left.
"""

import json
import pathlib
import sys

import numpy
import torch
import torch.nn.functional as F

from torchvision_models import distance_of_all, prepared

DTYPES = {"F32": "<f4"}


def read_safetensors(path):
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    tensors = {}
    for name, entry in json.loads(raw[8:start]).items():
        begin, end = entry["data_offsets"]
        array = numpy.frombuffer(raw[start + begin:start + end], DTYPES[entry["dtype"]])
        tensors[name] = torch.from_numpy(array.reshape(entry["shape"]).copy())
    return tensors


class Sloped(torch.autograd.Function):
    """A value whose derivative with respect to its input is given."""

    @staticmethod
    def forward(context, x, value, slope):
        context.save_for_backward(slope)
        return value.clone()

    @staticmethod
    def backward(context, gradient):
        return gradient * context.saved_tensors[0], None, None


class Sides:
    """Takes the place of PyTorch's functions with kinks, call by call."""

    def __init__(self, own):
        self.own, self.calls, self.units, self.distance = own, {}, 0, 0.0

    def _next(self, kind):
        call = self.calls[kind] = self.calls.get(kind, -1) + 1
        value = self.own[f"{kind} {call}"]
        return value.permute(0, 3, 1, 2) if value.ndim == 4 else value

    def _note(self, moved, distances, x):
        self.units += int(moved.sum())
        if moved.any():
            self.distance = max(self.distance, float(distances[moved].max() / x.detach().square().mean().sqrt()))

    def relu(self, x, inplace=False):
        mine, side = x.detach() > 0, self._next("relu") > 0
        self._note(mine != side, x.detach().abs(), x)
        return Sloped.apply(x, x.detach().clamp(min=0), side.to(x.dtype))

    def hardtanh(self, x, low=-1.0, high=1.0, inplace=False):
        own, fixed = self._next("clip"), x.detach()
        mine, side = (fixed > low) & (fixed < high), (own > low) & (own < high)
        self._note(mine != side, torch.minimum((fixed - low).abs(), (fixed - high).abs()), x)
        return Sloped.apply(x, fixed.clamp(low, high), side.to(x.dtype))

    def max_pool2d(self, x, *arguments, return_indices=False, **options):
        value, mine = max_pool2d(x.detach(), *arguments, return_indices=True, **options)
        _, side = max_pool2d(self._next("maxPool"), *arguments, return_indices=True, **options)
        taken = x.flatten(2).gather(2, side.flatten(2)).reshape(value.shape)
        # Equal maxima, most of them zeros, have no other side.
        self._note(taken.detach() != value, value - taken.detach(), x)
        return taken


max_pool2d = F.max_pool2d


def main(name, folder):
    torch.set_num_threads(2)
    network, images, labels = prepared(name, folder)
    own = read_safetensors(folder / "own.safetensors")
    sides = Sides(own)
    for function in ("relu", "hardtanh", "max_pool2d"):
        setattr(F, function, getattr(sides, function))
    F.cross_entropy(network(images), labels).backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    found = [own[f"gradient {key}"].reshape(value.shape) for key, value in network.named_parameters()]
    print(json.dumps({"units": sides.units, "distance": sides.distance, "error": distance_of_all(found, gradients)}))


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]))

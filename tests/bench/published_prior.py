"""Writes a prior in the original's four files at full size, as published: random numbers around a torchvision network.

python3 tests/bench/published_prior.py PREFIX [resnet50|resnet101] [rank] [raw|normalised]

The files are large (ResNet-50, rank 5: 753 MB) and never committed. `published_prior.ts` reads them and is timed.
"""

import sys

import torch
import torchvision


def main():
    given = sys.argv[1:]
    prefix, name, rank, rows = given + ["", "resnet50", "5", "raw"][len(given) :]
    torch.manual_seed(0)
    model = getattr(torchvision.models, name)()
    model.fc = torch.nn.Identity()
    mean = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    # Raw deviations from a running mean: the first is zero, and the variance is what they say.
    deviations = torch.randn(int(rank), mean.numel()) * 1e-3
    deviations[0] = 0
    variance = (deviations**2).mean(0).clamp(min=1e-6)
    if rows == "normalised":
        deviations /= (int(rank) - 1) ** 0.5
    torch.save(model.state_dict(), f"{prefix}_model.pt")
    torch.save(mean, f"{prefix}_mean.pt")
    torch.save(variance, f"{prefix}_variance.pt")
    torch.save(deviations, f"{prefix}_covmat.pt")


main()

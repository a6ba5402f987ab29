"""Writes JPEG files like ImageNet's for data.ts: 500 x 375 pixels, about 110 KB, four classes.

python3 tests/bench/data_images.py FOLDER COUNT

The pixels are noise with the spectrum of photographs (amplitude falling with frequency), so that a file is as large as a
photograph's and takes a decoder as long.
"""

import os
import sys

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 500, 375


def octave(random, cells):
    small = random.standard_normal((HEIGHT * cells // WIDTH + 2, cells + 2, 3)).astype(np.float32)
    planes = [Image.fromarray(small[..., c]).resize((WIDTH, HEIGHT), Image.BICUBIC) for c in range(3)]
    return np.stack([np.asarray(plane) for plane in planes], -1)


def main(folder, count):
    random = np.random.default_rng(0)
    for index in range(count):
        target = f"{folder}/train/{index % 4}"
        os.makedirs(target, exist_ok=True)
        pixels = 128 + sum(90 / cells**0.6 * octave(random, cells) for cells in (4, 8, 16, 32, 64, 128, 250))
        pixels += 11 * random.standard_normal(pixels.shape)
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        image.save(f"{target}/{index:05}.jpg", quality=95)


main(sys.argv[1], int(sys.argv[2]))

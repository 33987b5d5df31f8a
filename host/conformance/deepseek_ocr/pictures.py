"""Input images by formula, whole numbers only, so that any language makes the same pixels.

`picture` is harsh (edges, ramps, noise) and exists in every mode; `page` looks like a page of text to the model.
"""

import numpy as np
from PIL import Image

import recipe

CHANNELS = {"1": 1, "L": 1, "P": 1, "I;16": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}
ORIENTATION = 0x0112  # the EXIF tag


def noise(name, seed, count):
    return (recipe.words(recipe.key(name, seed), 0, count) >> np.uint64(56)).astype(np.int64)


def picture_values(width, height, channels, seed):
    """height x width x channels of 0..255, and the noise below them."""
    y, x, c = np.ogrid[:height, :width, :channels]
    grain = noise("picture", seed, width * height * channels).reshape(height, width, channels)
    ramp = ((x * (3 + c) + y * (5 + 2 * c) + 40 * c) >> 2) & 255
    cell = ((x >> 5) + (y >> 4) * 3 + c) % 7
    values = np.where(cell == 0, 255, np.where(cell == 1, 0, np.where(cell == 2, grain, ramp ^ (grain >> 5))))
    return values, grain


def picture(mode, width, height, seed, orientation=1):
    values, grain = picture_values(width, height, CHANNELS[mode], seed)
    bytes_ = np.ascontiguousarray(values.astype(np.uint8))
    size = (width, height)
    if mode == "1":
        image = Image.frombytes("L", size, np.where(bytes_ >= 128, 255, 0).astype(np.uint8).tobytes()).convert("1")
    elif mode == "I;16":
        image = Image.frombytes("I;16", size, (values * 256 + grain).astype("<u2").tobytes())
    else:
        image = Image.frombytes(mode, size, bytes_.tobytes())
    if mode == "P":
        image.putpalette(noise("palette", seed, 768).astype(np.uint8).tobytes())
    if orientation != 1:
        image.getexif()[ORIENTATION] = orientation
    return image


def page(width, height, seed):
    """An RGB page: lines of 24 px of random 7 x 6 glyphs, every ninth line a strip of ramps, margins of 40 px."""
    y, x, c = np.ogrid[:height, :width, :3]
    line, row, cell, column = y // 24, y % 24, x // 9, x % 9
    glyphs = recipe.words(recipe.key("page", seed), 0, (height // 24 + 1) * 4096).reshape(-1, 4096)[line, cell]
    bit = np.clip(column + 7 * ((row - 5) // 2), 0, 41)
    ink = ((glyphs >> (8 + bit).astype(np.uint64)) & np.uint64(1)).astype(bool) & ((glyphs & np.uint64(7)) != 0)
    inside = (x >= 40) & (x < width - 40) & (y >= 40) & (y < height - 40)
    ink = ink & inside & (row >= 5) & (row < 17) & (column < 7)
    paper = 250 - 5 * c - (((x + y) >> 6) & 7)
    strip = ((x * (3 + c) + y * (5 + 2 * c)) >> 2) & 255
    values = np.where((line % 9 == 8) & inside, strip, np.where(ink, 20 + 10 * c, paper))
    return Image.fromarray(np.ascontiguousarray(values.astype(np.uint8)))


def opened(image):
    """What upstream does with a file once it is open: turn it by its EXIF orientation, then RGB."""
    from PIL import ImageOps

    return ImageOps.exif_transpose(image).convert("RGB")

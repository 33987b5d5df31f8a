"""Upstream's views of an image, by Pillow: the square views of the modes and the tiles of Gundam."""

import dataclasses

import numpy as np
from PIL import Image, ImageOps

GREY = (127, 127, 127)  # int(0.5 * 255)
TILE_PX = 640


@dataclasses.dataclass(frozen=True)
class Mode:
    base_px: int
    crop: bool = False
    stretch: bool = False


MODES = {
    "tiny": Mode(512, stretch=True),
    "small": Mode(640, stretch=True),
    "base": Mode(1024),
    "large": Mode(1280),
    "gundam": Mode(1024, crop=True),
}


def grids(most, least=2):
    """Candidate (columns, rows) in the order in which upstream tries them.

    Upstream sorts a set by area alone, so that candidates of one area keep the order in which Python iterates the
    set; building the set in the same order of insertion reproduces it.
    """
    every = set((i, j) for n in range(least, most + 1) for i in range(1, n + 1) for j in range(1, n + 1)
                if least <= i * j <= most)
    return sorted(every, key=lambda grid: grid[0] * grid[1])


def choose_grid(width, height, most):
    """Columns and rows of tiles: the nearest aspect ratio; on a tie the later, if the image has the pixels for it."""
    if width <= TILE_PX and height <= TILE_PX:
        return 1, 1
    aspect, area = width / height, width * height
    best, best_difference = (1, 1), float("inf")
    for columns, rows in grids(most):
        difference = abs(aspect - columns / rows)
        if difference < best_difference:
            best, best_difference = (columns, rows), difference
        elif difference == best_difference and area > 0.5 * TILE_PX * TILE_PX * columns * rows:
            best = (columns, rows)
    return best


def tiles(image, columns, rows):
    stretched = image.resize((TILE_PX * columns, TILE_PX * rows))
    return [stretched.crop((x * TILE_PX, y * TILE_PX, (x + 1) * TILE_PX, (y + 1) * TILE_PX))
            for y in range(rows) for x in range(columns)]


def views(image, mode_name, most=9):
    """The global view, the tiles (maybe none) and the grid (columns, rows) of an RGB image."""
    mode = MODES[mode_name]
    size = (mode.base_px, mode.base_px)
    grid, cut = (1, 1), []
    if mode.crop:
        grid = choose_grid(*image.size, most)
        if grid != (1, 1):
            cut = tiles(image, *grid)
    elif mode.stretch:
        image = image.resize(size)
    return ImageOps.pad(image, size, color=GREY), cut, grid


def pixels(image):
    """3 x S x S in [-1, 1], f32: x / 255, then minus and over one half."""
    values = np.asarray(image, np.uint8).transpose(2, 0, 1).astype(np.float32)
    return np.ascontiguousarray((values / np.float32(255) - np.float32(0.5)) / np.float32(0.5))


def image_tokens(mode_name, grid):
    """Placeholders that an image takes in the prompt."""
    side = MODES[mode_name].base_px // 64
    count = side * (side + 1) + 1
    if grid != (1, 1):
        count += 10 * grid[1] * (10 * grid[0] + 1)
    return count

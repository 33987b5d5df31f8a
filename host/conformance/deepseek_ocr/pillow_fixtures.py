"""Writes `preprocess.json`: images by formula and the sha256 of what Pillow makes of them, view by view.

    python3 pillow_fixtures.py ../../models/deepseek_ocr/tests/data

A view's sum is over its RGB bytes, row by row; the tiles' sum is over all tiles' bytes, one after the other.
Some patches of views are kept as PNG, to look at when a sum differs.
"""

import argparse
import hashlib
import json
import pathlib

import PIL
from PIL import ImageOps

import pictures
import preprocess

# Mode, width, height, EXIF orientation. Sizes are odd on purpose: tiny, thin, huge, exact, one off.
IMAGES = [
    ("RGB", 1, 1, 1), ("RGB", 2, 3, 1), ("RGB", 7, 5, 1), ("RGB", 17, 640, 1), ("RGB", 640, 17, 1),
    ("RGB", 640, 640, 1), ("RGB", 641, 640, 1), ("RGB", 640, 641, 1), ("RGB", 639, 641, 1), ("RGB", 1024, 1024, 1),
    ("RGB", 1280, 1280, 1), ("RGB", 1023, 1025, 1), ("RGB", 850, 1100, 1), ("RGB", 1241, 1754, 1),
    ("RGB", 1275, 1650, 1), ("RGB", 1700, 2200, 1), ("RGB", 2200, 1700, 1), ("RGB", 2481, 3507, 1),
    ("RGB", 1920, 1080, 1), ("RGB", 3001, 301, 1), ("RGB", 299, 2999, 1), ("RGB", 5000, 97, 1), ("RGB", 97, 5003, 1),
    ("RGB", 777, 777, 1), ("RGB", 1111, 999, 1), ("RGB", 1999, 2001, 1), ("RGB", 913, 457, 1), ("RGB", 457, 913, 1),
    ("RGB", 1279, 853, 1), ("RGB", 2047, 683, 1),
    ("L", 333, 511, 1), ("L", 1653, 2339, 1), ("L", 701, 1499, 1),
    ("LA", 511, 333, 1), ("LA", 1301, 977, 1),
    ("RGBA", 401, 801, 1), ("RGBA", 1603, 1201, 1), ("RGBA", 650, 650, 1),
    ("P", 255, 257, 1), ("P", 1237, 893, 1),
    ("1", 331, 223, 1), ("1", 1728, 2200, 1), ("1", 851, 1103, 1),
    ("I;16", 509, 303, 1), ("I;16", 1201, 1601, 1),
    ("CMYK", 419, 601, 1), ("CMYK", 1499, 1001, 1),
    ("RGB", 811, 613, 2), ("RGB", 613, 811, 3), ("RGB", 811, 613, 4), ("RGB", 1217, 613, 5), ("RGB", 1217, 811, 6),
    ("RGB", 613, 1217, 7), ("RGB", 1409, 907, 8), ("L", 1217, 811, 6), ("CMYK", 907, 1409, 8),
]
# Image, view, and the left, top, right, bottom of the patch that is kept.
PATCHES = [(1, "tiny", (208, 120, 304, 216)), (12, "base", (80, 0, 176, 96)), (30, "tiny", (208, 208, 304, 304)),
           (32, "large", (340, 600, 436, 696)), (34, "small", (272, 272, 368, 368))]


def digest(images):
    total = hashlib.sha256()
    for image in images:
        total.update(image.tobytes())
    return total.hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    entries, patches = [], [dict(image=number, view=view, box=box, file=f"preprocess-{number}-{view}.png")
                            for number, view, box in PATCHES]
    for number, (mode, width, height, orientation) in enumerate(IMAGES):
        seed = 100 + number
        source = pictures.picture(mode, width, height, seed, orientation)
        image = pictures.opened(source)
        entry = dict(mode=mode, width=width, height=height, seed=seed, orientation=orientation,
                     source_sha256=hashlib.sha256(source.tobytes()).hexdigest(), rgb_sha256=digest([image]), views={})
        for name in preprocess.MODES:
            whole, cut, grid = preprocess.views(image, name)
            entry["views"][name] = digest([whole])
            for patch in patches:
                if (patch["image"], patch["view"]) == (number, name):
                    whole.crop(patch["box"]).save(folder / patch["file"], optimize=True)
            if name == "gundam":
                entry["crops_9"] = dict(columns=grid[0], rows=grid[1], sha256=digest(cut))
                _, fewer, grid = preprocess.views(image, name, 6)
                entry["crops_6"] = dict(columns=grid[0], rows=grid[1], sha256=digest(fewer))
        assert entry["views"].pop("gundam") == entry["views"]["base"]
        # A size of the contained image is rounded to even; kept so that a difference there is seen as such.
        entry["contained"] = {name: list(ImageOps.contain(image, (side, side)).size)
                              for name, side in (("base", 1024), ("large", 1280))}
        entries.append(entry)
    result = dict(pillow=PIL.__version__, grids_9=preprocess.grids(9), grids_6=preprocess.grids(6),
                  patches=patches, images=entries)
    lines = [json.dumps(entry) for entry in entries]
    head = json.dumps({name: value for name, value in result.items() if name != "images"})[:-1]
    text = head + ', "images": [\n' + ",\n".join(lines) + "\n]}\n"
    assert json.loads(text) == json.loads(json.dumps(result))
    (folder / "preprocess.json").write_text(text)
    print(f"{len(entries)} images, {sum(entry['crops_9']['rows'] * entry['crops_9']['columns'] for entry in entries)} tiles")


if __name__ == "__main__":
    main()

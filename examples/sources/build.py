"""Draws the example documents from the pages beside this file, and writes down what they say.

    python3 build.py        # writes ../report.pdf, ../scan.jpg, ../receipt.png and their ../*.expected.txt

Needs `chromium` and `pdftoppm` (poppler-utils) on the path, the Liberation fonts, and the Python packages
`numpy` and `pillow`. The noise is seeded, so a second run draws the same pixels.
"""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from chart import chart
from expected import expected_text

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent
CHROMIUM = [
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-pdf-header-footer",
]


def print_page(html, pdf, work):
    """Prints `html` to `pdf`; page size and margins come from the page's own `@page` rule."""
    page = work / "page.html"
    page.write_text(html, encoding="utf-8")
    subprocess.run(
        [*CHROMIUM, f"--user-data-dir={work / 'profile'}", f"--print-to-pdf={pdf}", page.as_uri()],
        check=True, capture_output=True, timeout=120,
    )


def rasterise(pdf, dpi, work):
    """Draws the first page of `pdf` in grey."""
    stem = work / "raster"
    subprocess.run(["pdftoppm", "-r", str(dpi), "-gray", "-singlefile", "-png", pdf, stem], check=True, timeout=60)
    return Image.open(stem.with_suffix(".png")).convert("L")


def scanned(page, degrees, noise, blur, seed):
    """Skews, blurs and dirties `page` as a desk scanner would."""
    random = np.random.default_rng(seed)
    page = page.rotate(degrees, resample=Image.Resampling.BICUBIC, fillcolor=255)
    page = page.filter(ImageFilter.GaussianBlur(blur))
    grey = np.asarray(page, dtype=np.float32)
    height, width = grey.shape
    shadow = 14 * np.exp(-np.arange(width) / (width * 0.05))
    grey = 18 + grey * (238 - 18) / 255 - shadow[None, :] + random.normal(0, noise, grey.shape)
    for _ in range(40):
        y, x = random.integers(0, height - 2), random.integers(0, width - 2)
        grey[y:y + 2, x:x + 2] -= random.uniform(40, 120)
    return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))


def write_expected(name, html):
    (EXAMPLES / f"{name}.expected.txt").write_text(expected_text(html), encoding="utf-8")


def main():
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        report = (HERE / "report.html").read_text(encoding="utf-8").replace("__CHART__", chart())
        print_page(report, EXAMPLES / "report.pdf", work)
        write_expected("report", report)

        letter = work / "scan.pdf"
        html = (HERE / "scan.html").read_text(encoding="utf-8")
        print_page(html, letter, work)
        write_expected("scan", html)
        scanned(rasterise(letter, 170, work), degrees=0.8, noise=5.0, blur=0.7, seed=20260603).save(
            EXAMPLES / "scan.jpg", quality=72, dpi=(170, 170), optimize=True)

        receipt = work / "receipt.pdf"
        html = (HERE / "receipt.html").read_text(encoding="utf-8")
        print_page(html, receipt, work)
        write_expected("receipt", html)
        rasterise(receipt, 200, work).quantize(16).save(EXAMPLES / "receipt.png", dpi=(200, 200), optimize=True)


if __name__ == "__main__":
    main()

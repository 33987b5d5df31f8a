"""Whether the host's HTML shows its page images with the boxes on the text, in a real browser.

    python3 html_check.py --host ocr-host [--examples ../../examples] [--screenshots FOLDER]

Each example is converted to HTML and opened in headless Chromium. The page must ask for nothing beyond its own file
and those beside it, log no error, load all its images, and lay boxes over every page image: each box inside its
image, and most of the image's dark pixels under some box. The screenshots are for looking at.

A page image is an image at least 200 px wide with boxes in its parent; a box is an absolutely positioned element or an
SVG shape with an area inside that parent. `--page` and `--box` give CSS selectors instead.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import harness
from browser import Browser

LEAST_INK = 0.80
LOOK = """
(async () => {
  const pageSelector = %(page)s, boxSelector = %(box)s;
  // Pages out of sight may be left undrawn until they are scrolled to; here all are wanted at once.
  document.querySelectorAll('*').forEach(element => {
    if (getComputedStyle(element).contentVisibility === 'auto') element.style.contentVisibility = 'visible';
  });
  const images = [...document.images];
  await Promise.all(images.map(image => { image.loading = 'eager'; return image.decode().catch(() => {}) }));
  const area = box => box.width * box.height;
  const isBox = (element, image) => {
    if (element === image || element.contains(image)) return false;
    const shape = element instanceof SVGGeometryElement;
    if (!shape && getComputedStyle(element).position !== 'absolute') return false;
    if (element instanceof SVGSVGElement) return false;
    const box = element.getBoundingClientRect(), whole = image.getBoundingClientRect();
    return area(box) > 0 && area(box) < 0.98 * area(whole);
  };
  const pages = [];
  for (const image of images) {
    const whole = image.getBoundingClientRect();
    if (pageSelector ? !image.matches(pageSelector) : whole.width < 200) continue;
    const boxes = [...image.parentElement.querySelectorAll(boxSelector || '*')].filter(element => boxSelector || isBox(element, image));
    if (!boxes.length && !pageSelector) continue;
    const rectangles = boxes.map(element => element.getBoundingClientRect());
    const outside = rectangles.filter(box => box.left < whole.left - 2 || box.top < whole.top - 2
      || box.right > whole.right + 2 || box.bottom > whole.bottom + 2).length;
    let ink = null;
    try {
      const scale = Math.min(1, 1200 / image.naturalWidth);
      const canvas = new OffscreenCanvas(image.naturalWidth * scale, image.naturalHeight * scale);
      const context = canvas.getContext('2d');
      context.drawImage(image, 0, 0, canvas.width, canvas.height);
      const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
      const covered = new Uint8Array(canvas.width * canvas.height);
      for (const box of rectangles) {
        const x0 = Math.max(0, Math.floor((box.left - whole.left) / whole.width * canvas.width));
        const x1 = Math.min(canvas.width, Math.ceil((box.right - whole.left) / whole.width * canvas.width));
        const y0 = Math.max(0, Math.floor((box.top - whole.top) / whole.height * canvas.height));
        const y1 = Math.min(canvas.height, Math.ceil((box.bottom - whole.top) / whole.height * canvas.height));
        for (let y = y0; y < y1; y++) covered.fill(1, y * canvas.width + x0, y * canvas.width + Math.max(x0, x1));
      }
      let dark = 0, under = 0;
      for (let index = 0; index < covered.length; index++) {
        if (pixels[4 * index] + pixels[4 * index + 1] + pixels[4 * index + 2] < 330) { dark++; under += covered[index] }
      }
      ink = dark ? under / dark : null;
    } catch (error) { ink = String(error) }
    pages.push({boxes: boxes.length, outside, ink, width: Math.round(whole.width), height: Math.round(whole.height),
                proportions: Math.abs(whole.width / whole.height - image.naturalWidth / image.naturalHeight) < 0.02});
  }
  return {title: document.title, language: document.documentElement.lang, text: document.body.innerText.length,
          images: images.length, broken: images.filter(image => !image.naturalWidth).length, pages,
          wide: document.documentElement.scrollWidth > innerWidth + 1};
})()
"""


def judge(seen, requests, complaints, file):
    """What is wrong with an opened page."""
    faults = []
    own = file.parent.as_uri()
    foreign = [url for url in requests if not url.startswith((own, "data:", "blob:"))]
    if foreign:
        faults.append(f"asks for {foreign[0][:60]}")
    faults += complaints[:2]
    if seen["broken"]:
        faults.append(f"{seen['broken']} images do not load")
    if not seen["pages"]:
        faults.append("no page image with boxes")
    for number, page in enumerate(seen["pages"], 1):
        if not page["boxes"]:
            faults.append(f"page image {number} has no boxes")
        if page["outside"]:
            faults.append(f"page image {number}: {page['outside']} of {page['boxes']} boxes leave it")
        if not page["proportions"]:
            faults.append(f"page image {number} is distorted")
        if isinstance(page["ink"], str):
            faults.append(f"page image {number}: {page['ink'][:60]}")
        elif page["ink"] is not None and page["ink"] < LEAST_INK:
            faults.append(f"page image {number}: {100 * page['ink']:.0f} % of the ink lies under boxes")
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", type=Path, help="the ocr-host binary")
    parser.add_argument("--html", type=Path, nargs="*", help="check these files instead of running the host")
    parser.add_argument("--data", type=Path, help="not used; taken so that all scripts can be called alike")
    parser.add_argument("--examples", type=Path, default=harness.HERE.parent.parent / "examples")
    parser.add_argument("--screenshots", type=Path, help="where the pictures go")
    parser.add_argument("--results", type=Path, default=harness.RESULTS)
    parser.add_argument("--host-args", default="", help="options for the host")
    parser.add_argument("--page", help="CSS selector of page images")
    parser.add_argument("--box", help="CSS selector of boxes")
    parser.add_argument("--before", help="JavaScript to run on the page first, such as a click on its own switch")
    options = parser.parse_args()
    if bool(options.host) == bool(options.html):
        parser.error("give one of --host and --html")

    records = []
    with tempfile.TemporaryDirectory() as work:
        files = [file.resolve() for file in options.html or []]
        if options.host:
            sources = [options.examples / name for name in ("report.pdf", "scan.jpg", "receipt.png")]
            run, _ = harness.convert(options.host, sources, work, "html", options.host_args.split())
            if run.code != 0:
                print(f"the host: {run.outcome()}: {harness.parts_of(run)}")
            for source in sources:
                file = harness.output_of(work, source, ".html")
                if file:
                    files.append(file.resolve())
                else:
                    records.append({"document": source.name, "faults": ["no HTML"]})
        with Browser() as browser:
            for file in files:
                requests = browser.open(file.as_uri())
                if options.before:
                    browser.ask(options.before)
                seen = browser.ask(LOOK % {"page": json.dumps(options.page), "box": json.dumps(options.box)})
                record = {"document": file.name, "bytes": file.stat().st_size, **seen}
                record["faults"] = judge(seen, requests, browser.complaints(), file)
                records.append(record)
                if options.screenshots:
                    options.screenshots.mkdir(parents=True, exist_ok=True)
                    browser.screenshot(options.screenshots / f"{file.stem}.png")
                    browser.screenshot(options.screenshots / f"{file.stem}-whole.png", whole_page=True)
    print()
    harness.table(
        ["document", "page images", "boxes", "least ink under boxes", "images", "KiB", "faults"],
        [[r["document"], len(r.get("pages", [])), sum(page["boxes"] for page in r.get("pages", [])),
          min((f"{100 * page['ink']:.0f} %" for page in r.get("pages", []) if isinstance(page["ink"], (int, float))), default="-"),
          r.get("images", "-"), r.get("bytes", 0) // 1024, "; ".join(r["faults"][:3]) or "none"] for r in records])
    harness.write_result(options, "html", {"documents": records})
    return 1 if any(record["faults"] for record in records) else 0


if __name__ == "__main__":
    sys.exit(main())

"""The other readers on the accuracy and speed tables, each behind `read(path) -> text`.

* `reference`: the engine's own tiny weights under onnxruntime (see `reference.py`), alone and with the small
  recogniser reading again what was uncertain.
* `rapidocr`: RapidOCR 3.10 with its own defaults (PP-OCRv6 small, line classifier on), and with the classifier off.
* `tesseract`: Tesseract 5 with its default page segmentation (3), and with orientation detection (1).
"""

import gzip
import hashlib
import importlib.util
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
WEIGHTS = HERE.parent / "models" / "ppocr" / "weights"


def small_recogniser():
    """The small weights that come inside the `rapidocr` package."""
    package = importlib.util.find_spec("rapidocr")
    return Path(package.origin).parent / "models" / "PP-OCRv6_rec_small.onnx"


def network(weights, name):
    """A network's file; a packed one is unpacked beside the system's temporary files, once."""
    plain, packed = Path(weights) / name, Path(weights) / f"{name}.planes.gz"
    if plain.exists() or not packed.exists():
        return plain
    planes = gzip.decompress(packed.read_bytes())
    content, at = bytearray(len(planes)), 0
    for first in range(4):
        length = len(range(first, len(planes), 4))
        content[first::4] = planes[at:at + length]
        at += length
    unpacked = Path(tempfile.gettempdir()) / f"{hashlib.sha256(content).hexdigest()[:16]}-{name}"
    if not unpacked.exists():
        unpacked.write_bytes(content)
    return unpacked


def dictionary(weights):
    """The tiny recogniser's character list: the one text file beside it that is no licence."""
    names = [file for file in sorted(Path(weights).glob("*.txt")) if "dict" in file.name.lower() or "char" in file.name.lower()]
    if not names:
        raise FileNotFoundError(f"no dictionary (*dict*.txt) in {weights}")
    return names[0]


class ReferencePeer:
    def __init__(self, weights, threads, rescue):
        from reference import Reference, load_bgr
        self.load = load_bgr
        self.engine = Reference(
            network(weights, "det.onnx"), network(weights, "rec.onnx"), dictionary(weights), threads,
            rescue=small_recogniser() if rescue else None,
        )

    def read(self, path, languages=None):
        return "\n".join(line.text for line in self.engine.read(self.load(path)))


class RapidOcrPeer:
    def __init__(self, threads, classifier):
        from rapidocr import RapidOCR
        from reference import load_bgr
        self.load = load_bgr
        self.engine = RapidOCR(params={
            "Global.use_cls": classifier, "Global.log_level": "error",
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        })

    def read(self, path, languages=None):
        # Decoded here: its own loader gives palette images by index, near black, and then reads nothing.
        found = self.engine(self.load(path))
        return "\n".join(found.txts or ())


class TesseractPeer:
    """`languages` are Tesseract's own names, joined by `+`; English when nothing else is said."""

    def __init__(self, threads, segmentation):
        if shutil.which("tesseract") is None:
            raise FileNotFoundError("tesseract is not on the path")
        self.threads, self.segmentation = threads, segmentation

    def read(self, path, languages=None):
        import os
        done = subprocess.run(
            ["tesseract", str(path), "stdout", "-l", languages or "eng", "--psm", str(self.segmentation)],
            capture_output=True, text=True, env={**os.environ, "OMP_THREAD_LIMIT": str(self.threads)}, timeout=600,
        )
        if done.returncode != 0:
            raise RuntimeError(f"tesseract on {Path(path).name}: {done.stderr.strip()[-200:]}")
        return done.stdout.replace("\f", "\n")


PEERS = {
    "tiny weights, onnxruntime": lambda weights, threads: ReferencePeer(weights, threads, rescue=False),
    "tiny + small rescue, onnxruntime": lambda weights, threads: ReferencePeer(weights, threads, rescue=True),
    "RapidOCR 3.10, classifier on (default)": lambda weights, threads: RapidOcrPeer(threads, classifier=True),
    "RapidOCR 3.10, classifier off": lambda weights, threads: RapidOcrPeer(threads, classifier=False),
    "Tesseract 5": lambda weights, threads: TesseractPeer(threads, segmentation=3),
    "Tesseract 5, page orientation (psm 1)": lambda weights, threads: TesseractPeer(threads, segmentation=1),
}


def versions():
    from importlib.metadata import version
    found = {name: version(name) for name in ("rapidocr", "onnxruntime", "opencv-python-headless", "numpy")}
    try:
        said = subprocess.run(["tesseract", "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    except (OSError, IndexError):
        said = "not installed"
    return {**found, "tesseract": said.removeprefix("tesseract ")}

#!/usr/bin/env python3
"""Goes the road of someone who writes a plugin: new, test, build, run, in an empty folder, for each language and kind; and times it.

    python3 sdk/check.py [--host target/release/ocr-host] [--lang python,js] [--kind formatter] [--json FILE]

Everything starts cold: caches of compiled code and of cargo's target are empty folders of this run, so the first project of a
language shows what a newcomer waits for, and the ones after it what an author waits for. What it needs and the machine lacks
(componentize-py) goes into an environment of its own below target/; npm's packages are installed in each project, as an author does.
The SDKs' own tests and the examples run as well. Ends with 1 where a step failed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import venv
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMPONENTIZE_PY = "componentize-py==0.25.1"
TOOLS = ROOT / "target" / "sdk-tools"
LANGUAGES = ("rust", "python", "js")
KINDS = ("formatter", "processor", "adapter")
TEST = {
    "rust": ["cargo", "test", "--quiet"],
    "python": [sys.executable, "-m", "unittest"],
    "js": ["npm", "test", "--silent"],
}
#: What was read has to hold this, and the processor is told to replace a word of it.
PHRASE, WORD, INSTEAD = "cheap enough to repeat", "cheap", "inexpensive"
RECEIPT = "LANTERN BAKERY"


#: How the table of sdk/README.md calls the languages.
LABELS = {"rust": "Rust", "python": "Python", "js": "JavaScript"}


class Wrong(Exception):
    """A step that did not do what it should."""


@dataclass
class Row:
    """Seconds that each step of a project took."""

    project: str
    steps: dict[str, float] = field(default_factory=dict)
    bytes: int = 0
    wrong: str = ""


class Walk:
    """The folders and the environment of one run."""

    def __init__(self, host: Path, folder: Path):
        self.host, self.folder = host, folder
        path = os.pathsep.join([str(TOOLS / "bin"), os.environ.get("PATH", "")])
        self.env = os.environ | {"PATH": path, "OCR_HOST_CACHE": str(folder / "cache"), "CARGO_TERM_COLOR": "never"}
        # What a surrounding cargo or CI set for its own build is not meant for these.
        for name in ("CARGO_TARGET_DIR", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"):
            self.env.pop(name, None)
        self.image = folder / "receipt.pgm"
        write_pgm(ROOT / "examples" / "receipt.png", self.image)

    def run(self, command: list, cwd: Path, **env: str) -> tuple[float, str, str]:
        """Runs a command; answers seconds, standard output and standard error."""
        start = time.monotonic()
        command = [str(c) for c in command]
        done = subprocess.run(command, cwd=cwd, env=self.env | env, capture_output=True, text=True)
        seconds = time.monotonic() - start
        if done.returncode != 0:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-30:])
            raise Wrong(f"`{' '.join(command)}` in {cwd} ended with {done.returncode}:\n{said}")
        return seconds, done.stdout, done.stderr

    def project(self, language: str, kind: str) -> Row:
        """Makes, tests, builds and runs one project."""
        name = f"{language}-{kind}"
        row = Row(name)
        here = self.folder / name
        try:
            command = [self.host, "plugin", "new", "--lang", language, "--kind", kind, name]
            row.steps["new"], said, _ = self.run(command, self.folder)
            expect("plugin build" in said, f"`plugin new` does not say how to go on:\n{said}")
            if language == "js":
                row.steps["install"], _, _ = self.run(["npm", "install", "--no-audit", "--no-fund"], here)
            # An author with several projects in Rust tests them in one target folder; elsewhere the name means nothing.
            shared = str(self.folder / "tests")
            row.steps["test"], _, _ = self.run(TEST[language], here, CARGO_TARGET_DIR=shared)
            row.steps["build"], _, _ = self.run([self.host, "plugin", "build"], here)
            wasm = here / f"{name}.wasm"
            row.bytes = wasm.stat().st_size
            first = wasm.read_bytes()
            row.steps["again"], _, _ = self.run([self.host, "plugin", "build"], here)
            expect(wasm.read_bytes() == first, "a second build of the same sources made other bytes")
            told = change(here, language, kind)
            row.steps["edit"], _, _ = self.run([self.host, "plugin", "build"], here)
            for step in ("first run", "next run"):
                row.steps[step], text, _ = self.run([self.host, "--quiet", *self.use(kind, wasm)], here)
                self.look(kind, text)
            if kind == "formatter":
                self.fall(wasm, told)
        except (Wrong, OSError) as wrong:
            row.wrong = str(wrong)
        return row

    def fall(self, wasm: Path, told: list[str]) -> None:
        """A plugin's fault ends its document, and the user learns what it was and where."""
        command = [self.host, "--plugin", wasm, "--plugin-opt", "rule=fall", "--pages", "1", ROOT / "examples" / "report.pdf"]
        done = subprocess.run([str(c) for c in command], env=self.env, capture_output=True, text=True)
        expect(done.returncode == 22, f"a plugin's fault ended with {done.returncode}, not 22:\n{done.stderr}")
        for part in told:
            expect(part in done.stderr, f"a plugin's fault is told without {part!r}:\n{done.stderr}")

    def use(self, kind: str, wasm: Path) -> list:
        report = ROOT / "examples" / "report.pdf"
        match kind:
            case "formatter":
                return ["--plugin", wasm, "--plugin-opt", "rule=##", report]
            case "processor":
                options = ["--plugin-opt", f"find={WORD}", "--plugin-opt", f"replace={INSTEAD}"]
                return ["--plugin", wasm, *options, "--to", "md", report]
            case _:
                return ["--plugin", wasm, "--plugin-opt", "dpi=100", "--to", "md", self.image]

    def look(self, kind: str, text: str) -> None:
        phrase = {"formatter": PHRASE, "processor": PHRASE.replace(WORD, INSTEAD), "adapter": RECEIPT}[kind]
        expect(phrase in text, f"the output lacks {phrase!r}; it begins {text[:200]!r}")
        if kind == "formatter":
            expect(all(f"## page {n}\n" in text for n in (1, 2, 3)), f"the output lacks a page; it begins {text[:200]!r}")


def expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Wrong(otherwise)


#: Where each language's source is, a comment, and for formatters: a method's first line, the fault to put below it, and what the user
#: is to be told of it.
SOURCES = {
    "rust": (
        "src/lib.rs",
        "// Changed.",
        "    fn page(&mut self, page: &Page) -> Result<()> {",
        '        assert!(self.settings.rule != "fall", "it fell");',
        ["it fell", "src/lib.rs:"],
    ),
    "python": (
        "MODULE.py",
        "# Changed.",
        "    def page(self, page: Page) -> None:",
        '        assert self.rule != "fall", "it fell"',
        ["AssertionError: it fell", "MODULE.py:", "in page"],
    ),
    "js": (
        "src/index.js",
        "// Changed.",
        "  page(page) {",
        '    if (this.rule === "fall") throw new RangeError("it fell");',
        ["RangeError: it fell", "src/index.js:"],
    ),
}


def change(project: Path, language: str, kind: str) -> list[str]:
    """Changes a source, as an author does between two builds: a formatter gets a fault. Answers what the user is to be told of it."""
    module = project.name.replace("-", "_")
    name, comment, method, fault, told = SOURCES[language]
    source = project / name.replace("MODULE", module)
    text = source.read_text("utf-8")
    if kind == "formatter":
        expect(text.count(method) == 1, f"{source} has no line {method!r}")
        text = text.replace(method, f"{method}\n{fault}")
    source.write_text(f"{text}{comment}\n", "utf-8")
    return [part.replace("MODULE", module) for part in told]


def write_pgm(png: Path, pgm: Path) -> None:
    """A PNG with a palette, without interlacing, as gray."""
    data = png.read_bytes()
    at, packed, palette = 8, b"", b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", body)
        palette = body if kind == b"PLTE" else palette
        packed += body if kind == b"IDAT" else b""
        at += 12 + length
    expect(color == 3 and not interlaced, f"{png}: a kind of PNG that this script does not read")
    # The green of a color is near enough to its luminance.
    gray = [palette[3 * i + 1] for i in range(len(palette) // 3)]
    raw, stride, per_byte = zlib.decompress(packed), (width * depth + 7) // 8, 8 // depth
    above, pixels = bytearray(stride), bytearray()
    for y in range(height):
        line = bytearray(raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
        unfilter(raw[y * (stride + 1)], line, above)
        above = line
        shifts = [8 - depth * (k + 1) for k in range(per_byte)]
        row = [(byte >> shift) & ((1 << depth) - 1) for byte in line for shift in shifts]
        pixels += bytes(gray[index] for index in row[:width])
    pgm.write_bytes(b"P5 %d %d 255\n" % (width, height) + pixels)


def unfilter(kind: int, line: bytearray, above: bytearray) -> None:
    """Undoes a PNG row's filter."""
    for i in range(len(line) if kind else 0):
        left = line[i - 1] if i else 0
        up, corner = above[i], above[i - 1] if i else 0
        if kind == 4:
            distance = {v: abs(left + up - corner - v) for v in (corner, up, left)}
            guess = min((left, up, corner), key=lambda v: distance[v])
        else:
            guess = (0, left, up, (left + up) // 2)[kind]
        line[i] = (line[i] + guess) & 0xFF


def provide_tools(languages: list[str]) -> None:
    """Installs componentize-py where it is missing."""
    program = TOOLS / "bin" / "componentize-py"
    if "python" not in languages or program.exists() or shutil.which("componentize-py"):
        return
    print(f"installing {COMPONENTIZE_PY} into {TOOLS}", file=sys.stderr)
    venv.create(TOOLS, with_pip=True)
    subprocess.run([TOOLS / "bin" / "python", "-m", "pip", "install", "--quiet", COMPONENTIZE_PY], check=True)


def examples(walk: Walk, languages: list[str]) -> list[Row]:
    """The SDKs' own tests, and the examples: tested, built, run."""
    rows = []
    for language, sdk, example in [("python", "sdk/python", "hello-formatter-py"), ("js", "sdk/js", "hello-formatter-js")]:
        if language not in languages:
            continue
        row = Row(example)
        rows.append(row)
        folder, wasm = ROOT / "examples" / example, walk.folder / f"{example}.wasm"
        try:
            walk.env["PYTHONPATH"] = str(ROOT / "sdk" / "python")
            sdk_test = TEST[language]
            walk.run(sdk_test, ROOT / sdk)
            if language == "js":
                row.steps["install"], _, _ = walk.run(["npm", "install", "--no-audit", "--no-fund"], folder)
            row.steps["test"], _, _ = walk.run(TEST[language], folder)
            del walk.env["PYTHONPATH"]
            row.steps["build"], _, _ = walk.run([walk.host, "plugin", "build", folder, "-o", wasm], ROOT)
            row.bytes = wasm.stat().st_size
            row.steps["first run"], text, _ = walk.run([walk.host, "--quiet", *walk.use("formatter", wasm)], ROOT)
            walk.look("formatter", text)
        except (Wrong, OSError) as wrong:
            row.wrong = str(wrong)
        finally:
            walk.env.pop("PYTHONPATH", None)
    return rows


def print_table(rows: list[Row]) -> None:
    columns = ["new", "install", "test", "build", "again", "edit", "first run", "next run"]
    print("seconds".ljust(20) + "".join(c.rjust(11) for c in columns) + "component".rjust(14))
    for row in rows:
        cells = "".join((f"{row.steps[c]:.1f}" if c in row.steps else "-").rjust(11) for c in columns)
        print(row.project.ljust(20) + cells + (f"{row.bytes:,} B" if row.bytes else "-").rjust(14))
    for row in rows:
        if row.wrong:
            print(f"\n{row.project}: {row.wrong}")
    passed = sum(not row.wrong for row in rows)
    print(f"\n{passed} passed, {len(rows) - passed} failed")


def documented(write: bool) -> list[str]:
    """READMEs of languages whose rows are not those of sdk/README.md; `write` makes them so."""
    table = (ROOT / "sdk" / "README.md").read_text()
    differ = []
    for language, label in LABELS.items():
        row = re.compile(rf"^\| {label} (?:formatter|processor|adapter).*\n", re.MULTILINE)
        readme = ROOT / "sdk" / language / "README.md"
        text = readme.read_text()
        wanted, found = row.findall(table), row.findall(text)
        if wanted == found:
            continue
        if not write or len(wanted) != len(found):
            differ.append(str(readme.relative_to(ROOT)))
            continue
        new = iter(wanted)
        readme.write_text(row.sub(lambda _: next(new), text))
    return differ


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", type=Path, default=ROOT / "target" / "release" / "ocr-host", help="the program")
    parser.add_argument("--lang", default=",".join(LANGUAGES), help="languages, parted by commas")
    parser.add_argument("--kind", default=",".join(KINDS), help="kinds, parted by commas")
    parser.add_argument("--keep", action="store_true", help="leave the projects where they are, and say where")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--document", action="store_true", help="copy the rows of sdk/README.md to the languages' READMEs, and end")
    args = parser.parse_args()
    if differ := documented(args.document):
        parser.error(f"the figures in {', '.join(differ)} are not those of sdk/README.md; --document copies its rows")
    if args.document:
        return 0
    languages, kinds = args.lang.split(","), args.kind.split(",")
    host = args.host.resolve()
    if not host.is_file():
        parser.error(f"{host} is not there; run `cargo build --release` first")
    provide_tools(languages)
    folder = Path(tempfile.mkdtemp(prefix="ocr-host-sdk-"))
    try:
        walk = Walk(host, folder)
        # Builds of the program's own components are cold in a fresh cache too, and not what is timed here.
        walk.run([host, "--quiet", ROOT / "examples" / "report.pdf"], folder)
        rows = [walk.project(language, kind) for language in languages for kind in kinds]
        rows += examples(walk, languages)
        print_table(rows)
        if args.json:
            args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
        return int(any(row.wrong for row in rows))
    finally:
        if args.keep:
            print(f"projects: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

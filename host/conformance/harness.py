"""Runs the host as a user would and keeps what was measured.

Every script here shares this module: it starts the real binary, watches its memory, names the machine and the
commit, and writes one dated JSON of raw numbers to `results/`. Nothing in a result names a folder of the machine it
was measured on: inputs are given relative to the data folder.
"""

import argparse
import dataclasses
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"

# The documented exit codes; any other is a failure of the host itself.
EXIT_CODES = {
    0: "ok", 1: "wrong arguments", 2: "unreadable input", 3: "something is missing", 5: "file access", 8: "encrypted",
    9: "wrong configuration", 15: "other", 20: "some pages failed", 21: "some files failed",
    22: "a plugin crashed or reached a limit",
}
MIB = 1024 * 1024


def arguments(description, host=True):
    """The options that all scripts share."""
    parser = argparse.ArgumentParser(description=description)
    if host:
        parser.add_argument("--host", type=Path, required=True, help="the ocr-host binary")
    parser.add_argument("--data", type=Path, required=True, help="folder with the shared documents (see README.md)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the dated JSON goes")
    return parser


@dataclasses.dataclass
class Run:
    """One finished run of a program."""

    code: int | None  # None: it was killed at the time limit
    seconds: float
    peak_bytes: int  # the process and its children together
    stdout: str
    stderr: str

    @property
    def timed_out(self):
        return self.code is None

    @property
    def panicked(self):
        return "panicked at" in self.stderr or (self.code is not None and (self.code < 0 or self.code in (101, 134, 139)))

    @property
    def peak_mib(self):
        return round(self.peak_bytes / MIB, 1)

    def outcome(self):
        if self.timed_out:
            return "time limit"
        if self.code < 0:
            return f"killed by {signal.Signals(-self.code).name}"
        return EXIT_CODES.get(self.code, f"unknown exit code {self.code}")


def _memory_field(pid, field):
    """`VmRSS` or `VmHWM` of a process in bytes, 0 when it has gone."""
    try:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                if line.startswith(field):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def resident_bytes(pid):
    return _memory_field(pid, "VmRSS:")


def family(pid):
    """A process and all its living descendants."""
    found, queue = [], [pid]
    while queue:
        current = queue.pop()
        found.append(current)
        try:
            for task in os.listdir(f"/proc/{current}/task"):
                with open(f"/proc/{current}/task/{task}/children") as children:
                    queue += [int(child) for child in children.read().split()]
        except OSError:
            pass
    return found


class MemoryWatch(threading.Thread):
    """Follows the memory of a process and its children.

    The kernel's own high-water mark of the main process catches peaks between two samples; `ru_maxrss` would not do,
    because a child starts with the mark of the Python process that forked it.
    """

    INTERVAL_S = 0.02

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.done = pid, 0, threading.Event()

    def run(self):
        while not self.done.wait(self.INTERVAL_S):
            together = sum(resident_bytes(member) for member in family(self.pid))
            self.peak = max(self.peak, together, _memory_field(self.pid, "VmHWM:"))

    def stop(self):
        self.done.set()
        self.join()
        return self.peak


def run_program(command, timeout_s, environment=None, cwd=None):
    """Runs a program to its end or to its time limit, then kills its whole process group."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=cwd,
            env={**os.environ, **(environment or {})}, start_new_session=True,
        )
        watch = MemoryWatch(process.pid)
        watch.start()
        try:
            code = process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            code = None
        seconds = time.perf_counter() - start
        peak = watch.stop()
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
    return Run(code, seconds, peak, *texts)


def convert(host, inputs, folder, to, extra=(), timeout_s=600):
    """Runs the host over `inputs` into `folder` and returns the run and its report (or None)."""
    command = [Path(host).resolve(), *inputs, "-o", folder, "--to", to, *extra]
    run = run_program(command, timeout_s)
    return run, read_report(folder)


def read_report(folder):
    try:
        return json.loads((Path(folder) / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def output_of(folder, source, suffix):
    """The file that the host wrote for `source`: `NAME.pdf.md` where names meet, `NAME.md` otherwise.

    The longer name is tried first: what `report.pdf` becomes is `report.pdf.json`, beside the run's own `report.json`.
    """
    source = Path(source)
    for name in (source.name + suffix, source.stem + suffix):
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    return None


def machine():
    model = "unknown"
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": model, "cores": os.cpu_count(), "memory_gib": round(pages / 1024**3, 1), "system": platform.system(),
        "python": platform.python_version(), "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def commit():
    def git(*words):
        try:
            return subprocess.run(["git", "-C", HERE, *words], capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""
    changed = [line for line in git("status", "--porcelain").splitlines() if "conformance/results/" not in line]
    return {"commit": git("rev-parse", "HEAD"), "uncommitted_changes": bool(changed)}


def host_version(host):
    try:
        found = subprocess.run([Path(host).resolve(), "--version"], capture_output=True, text=True, timeout=30)
        return found.stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"not run: {error.__class__.__name__}"


def _command_without_folders():
    words = []
    for word in [Path(sys.argv[0]).name, *sys.argv[1:]]:
        option, equals, value = word.partition("=")
        words.append(option + equals + Path(value).name if equals and "/" in value
                     else Path(word).name if "/" in word else word)
    return "python3 " + " ".join(words)


def write_result(options, name, numbers):
    """Writes the raw numbers with their circumstances; returns the file."""
    now = datetime.datetime.now(datetime.timezone.utc)
    record = {"what": name, "when": now.strftime("%Y-%m-%dT%H:%M:%SZ"), "command": _command_without_folders(),
              "machine": machine(), **commit()}
    if getattr(options, "host", None):
        record["host"] = host_version(options.host)
    record["numbers"] = numbers
    options.results.mkdir(parents=True, exist_ok=True)
    file = options.results / f"{now:%Y-%m-%d-%H%M%S}-{name}.json"
    file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\nraw numbers: {file.name}")
    return file


def table(head, rows):
    """Prints a table in Markdown, columns aligned."""
    cells = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for index, row in enumerate(cells):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
        if index == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def percent(value, digits=2):
    return "-" if value is None else f"{100 * value:.{digits}f} %"


def parts_of(run):
    """The last lines a program said, for a table of failures."""
    lines = [line for line in run.stderr.strip().splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""

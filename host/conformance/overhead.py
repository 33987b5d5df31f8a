"""What the sandbox costs, kept: runs `cargo bench --bench overhead` and writes its rows as raw numbers.

    python3 overhead.py

The bench measures with typed bindings and no files; its goals stand beside its figures.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import harness

# A row: what, median, p99, goal; the first three columns are 64, 12 and 12 wide.
ROW = re.compile(r"^(.{64}) +([+\d.]+ \S+) +([+\d.]+ \S+) +(.+)$")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=harness.RESULTS, help="where the dated JSON goes")
    options = parser.parse_args()
    ran = subprocess.run(["cargo", "bench", "--quiet", "--bench", "overhead"], cwd=harness.HERE.parent.parent,
                         capture_output=True, text=True)
    print(ran.stdout)
    rows = [match.groups() for match in map(ROW.match, ran.stdout.splitlines()) if match]
    if ran.returncode != 0 or not rows:
        print(ran.stderr[-2000:], file=sys.stderr)
        return 1
    names = ("median", "p99", "goal")
    harness.write_result(options, "overhead", {row[0].strip(): dict(zip(names, row[1:])) for row in rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())

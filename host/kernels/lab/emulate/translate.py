"""Makes of a kernel's file what a C++ compiler takes: dynamic shared memory becomes the emulator's."""

import pathlib
import re
import sys

source, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)
for file in sorted(source.glob("*.cu*")):
    text = file.read_text()
    text = re.sub(r"extern __shared__ __align__\(\d+\) ([\w ]+?) (\w+)\[\];",
                  r"\1* \2 = reinterpret_cast<\1*>(emulated::shared);", text)
    (out / file.name).write_text(text)

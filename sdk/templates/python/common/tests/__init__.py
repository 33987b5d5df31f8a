"""Makes the SDK importable where tests are run from the project's folder: `python3 -m unittest`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / ".ocr-host" / "sdk" / "python"))

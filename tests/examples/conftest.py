"""The examples are run in their own folder, so that is where their modules are found."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "orders"))

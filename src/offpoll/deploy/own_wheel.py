"""A wheel of the offpoll that is running. Decides that the version one has tried is the one that is deployed, released or not.

What only a command line can use stays out. Must not know pip or what else goes into the zip.
"""

from __future__ import annotations

import zipfile
from importlib.metadata import distribution
from pathlib import Path

import offpoll

__all__ = ["own_wheel"]

#: Packages that no function imports.
_LEFT_OUT = frozenset({"cli", "deploy", "testing", "__pycache__"})

_WHEEL = "Wheel-Version: 1.0\nGenerator: offpoll\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def own_wheel(folder: Path) -> Path:
    """Write the wheel into a folder, and return its path. Its metadata is the installed package's: requirements and extras count."""
    metadata = distribution("offpoll").read_text("METADATA") or ""
    root, name = Path(offpoll.__file__).parent, f"offpoll-{offpoll.__version__}"
    path = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for each in sorted(root.rglob("*")):
            inside = each.relative_to(root)
            if each.is_file() and not _LEFT_OUT.intersection(inside.parts):
                wheel.write(each, Path("offpoll", inside).as_posix())
        written = [*wheel.namelist(), f"{name}.dist-info/METADATA", f"{name}.dist-info/WHEEL", f"{name}.dist-info/RECORD"]
        wheel.writestr(f"{name}.dist-info/METADATA", metadata)
        wheel.writestr(f"{name}.dist-info/WHEEL", _WHEEL)
        wheel.writestr(f"{name}.dist-info/RECORD", "".join(f"{each},,\n" for each in written))
    return path

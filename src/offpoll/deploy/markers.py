"""What is required on Lambda and not on this machine: `uvloop; sys_platform == "linux"`, asked for on a Mac.

pip chooses wheels for another platform where it is told to, but judges environment markers (PEP 508) by the interpreter that it runs on. So
they are judged once more, for the target, and what pip has left out is named to it. Must not know how pip is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from email.parser import HeaderParser
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from offpoll.deploy.target import Target

__all__ = ["left_out"]


def left_out(folder: Path, *, target: Target, requirements: Path | None) -> list[str]:
    """Return the requirements that hold on the target and whose package is not there, without their markers.

    Args:
        folder: what pip has installed.
        target: where it will run.
        requirements: the project's own; those that only pip can read (options, other files) are left to pip.
    """
    metadata = [HeaderParser().parsestr(path.read_text(encoding="utf-8")) for path in folder.glob("*.dist-info/METADATA")]
    there = {canonicalize_name(each["Name"]) for each in metadata}
    lines = requirements.read_text(encoding="utf-8").splitlines() if requirements else []
    lines += [line for each in metadata for line in each.get_all("Requires-Dist", [])]
    found = {each.name: each for each in _read(lines) if each.marker is not None and canonicalize_name(each.name) not in there}
    return sorted(_bare(each) for each in found.values() if each.marker is not None and _holds(each.marker, target))


def _read(lines: Iterable[str]) -> Iterator[Requirement]:
    for line in lines:
        try:
            yield Requirement(line.partition(" #")[0].strip())
        except InvalidRequirement:
            pass  # an option, a path, an empty line: pip's own


def _holds(marker: Marker, target: Target) -> bool:
    """Tell whether a marker holds in Lambda. Of extras nobody has asked: those that were, pip has resolved."""
    return marker.evaluate(
        {
            "extra": "",
            "implementation_name": "cpython",
            "implementation_version": f"{target.python}.0",
            "os_name": "posix",
            "platform_machine": target.machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{target.python}.0",
            "python_version": target.python,
            "sys_platform": "linux",
        }
    )


def _bare(requirement: Requirement) -> str:
    requirement.marker = None
    return str(requirement)

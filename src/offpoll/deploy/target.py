"""A Lambda runtime and architecture: the wheels that run there, and the requirements that hold only there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

__all__ = ["Target", "missing_requirements"]

#: The wheels' names for Lambda's architectures.
_MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}

#: ELF's `e_machine` (System V ABI; elf.h).
_ELF = {"arm64": 0xB7, "x86_64": 0x3E}

#: Minor version of glibc: 2.26 in Amazon Linux 2, for Python 3.11, and 2.34 in Amazon Linux 2023, for all later ones.
#: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
_GLIBC = {"python3.11": 26}
_LATER_GLIBC = 34

#: manylinux2014 is 2.17. No current Python has wheels for an older one.
_OLDEST_GLIBC = 17


@dataclass(frozen=True, kw_only=True)
class Target:
    """The functions' runtime, `python3.13`, and their architecture, `arm64` or `x86_64`."""

    runtime: str
    architecture: str

    @property
    def python(self) -> str:
        """The Python version: `3.13`."""
        return self.runtime.removeprefix("python")

    @property
    def machine(self) -> str:
        """The wheels' name for the architecture."""
        return _MACHINES[self.architecture]

    @property
    def elf_machine(self) -> int:
        """The machine number in the header of a library for it."""
        return _ELF[self.architecture]

    @property
    def platforms(self) -> list[str]:
        """The platform tags of wheels that run there, newest first."""
        newest = _GLIBC.get(self.runtime, _LATER_GLIBC)
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in range(newest, _OLDEST_GLIBC - 1, -1)]
        return [*tags, f"manylinux2014_{self.machine}"]


def missing_requirements(folder: Path, *, target: Target, requirements: Path | None) -> list[str]:
    """Return the requirements, without their markers, that hold on the target and whose packages pip has not installed into a folder.

    Lines of the project's requirements file that only pip can read (options, other files) are left to pip.
    """
    metadata = [HeaderParser().parsestr(path.read_text(encoding="utf-8")) for path in folder.glob("*.dist-info/METADATA")]
    installed = {canonicalize_name(each["Name"]) for each in metadata}
    lines = requirements.read_text(encoding="utf-8").splitlines() if requirements else []
    lines += [line for each in metadata for line in each.get_all("Requires-Dist", [])]
    found = {each.name: each for each in _read(lines) if each.marker is not None and canonicalize_name(each.name) not in installed}
    return sorted(_without_marker(each) for each in found.values() if each.marker is not None and _holds(each.marker, target))


def _read(lines: Iterable[str]) -> Iterator[Requirement]:
    for line in lines:
        try:
            yield Requirement(line.partition(" #")[0].strip())
        except InvalidRequirement:
            pass  # an option, a path or an empty line: only pip reads those


def _holds(marker: Marker, target: Target) -> bool:
    """Tell whether a marker holds in Lambda. Assumes no extras: pip has already resolved the requested ones."""
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


def _without_marker(requirement: Requirement) -> str:
    requirement.marker = None
    return str(requirement)

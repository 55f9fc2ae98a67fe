"""A Lambda runtime and architecture. Decides which wheels run there; must not know pip's command line beyond its tags."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Target"]

#: Lambda's own words for an architecture, and the wheels'.
_MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}

#: ELF's `e_machine` (System V ABI; elf.h).
_ELF = {"arm64": 0xB7, "x86_64": 0x3E}

#: glibc 2.26 in Amazon Linux 2, which Python 3.11 runs on, and 2.34 in Amazon Linux 2023, for all later ones.
#: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
_GLIBC = {"python3.11": 26}
_LATER_GLIBC = 34

#: manylinux2014 is 2.17; nothing older has wheels for a Python of today.
_OLDEST_GLIBC = 17


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the functions run on.

    Attributes:
        runtime: `python3.13`.
        architecture: `arm64` or `x86_64`.
    """

    runtime: str
    architecture: str

    @property
    def python(self) -> str:
        """`3.13`."""
        return self.runtime.removeprefix("python")

    @property
    def machine(self) -> str:
        """What wheels call the architecture."""
        return _MACHINES[self.architecture]

    @property
    def elf_machine(self) -> int:
        """What a library for it says in its header."""
        return _ELF[self.architecture]

    @property
    def platforms(self) -> list[str]:
        """The platform tags of wheels that run there, newest first."""
        newest = _GLIBC.get(self.runtime, _LATER_GLIBC)
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in range(newest, _OLDEST_GLIBC - 1, -1)]
        return [*tags, f"manylinux2014_{self.machine}"]

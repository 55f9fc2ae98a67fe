"""Checks the zip's contents before they are deployed: files for other platforms, the size, and missing modules."""

from __future__ import annotations

import ast
import struct
import sys
from collections.abc import Iterable, Iterator
from email.parser import HeaderParser
from pathlib import Path

from offpoll.deploy.target import Target
from offpoll.errors import ConfigurationError

__all__ = ["UNZIPPED_LIMIT", "check_contents", "elf_machine", "missing_modules"]

#: Most bytes, unzipped. Lambda's limit of 50 MB for the zip only concerns direct uploads; ours comes from a bucket.
#: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
UNZIPPED_LIMIT = 250 * 1024 * 1024

_MACHINES = {0x3E: "x86_64", 0xB7: "arm64", 0x03: "x86, 32 bit", 0x28: "arm, 32 bit"}

#: Packages that Lambda's Python has beside the standard library.
#: https://docs.aws.amazon.com/lambda/latest/dg/python-package.html
_LAMBDA_HAS = frozenset({"boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3"})


def check_contents(folder: Path, *, target: Target) -> None:
    """Refuse contents that Lambda would refuse, or that would fail only there.

    Raises:
        ConfigurationError: names the file, and says what to do.
    """
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        machine = elf_machine(path)
        if machine is not None and machine != target.elf_machine:
            kind = _MACHINES.get(machine, f"machine {machine:#x}")
            raise ConfigurationError(f"{path.relative_to(folder)} is for {kind}, but the functions run on {target.architecture}")
    for name, tag in _tags(folder):
        if not tag.endswith(("-any", f"_{target.machine}")) or "-linux_" in tag:
            raise ConfigurationError(
                f"{name} was built here ({tag}) and will not run in Lambda: name a release in requirements.txt that has a wheel for "
                f"{target.runtime} on {target.architecture}"
            )
    size = _size(folder)
    if size > UNZIPPED_LIMIT:
        most = f"{size / 1024**2:.0f} MB, and Lambda takes {UNZIPPED_LIMIT // 1024**2}"
        raise ConfigurationError(f"the functions have {most}; the largest parts: {_largest(folder)}")


def elf_machine(path: Path) -> int | None:
    """Return the machine number of a library; None if the file is not an ELF file."""
    with path.open("rb") as file:
        head = file.read(20)
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return None
    order = "<" if head[5] == 1 else ">"
    machine: int = struct.unpack_from(f"{order}H", head, 18)[0]
    return machine


def missing_modules(files: Iterable[Path], *, contents: Path) -> list[str]:
    """Return the modules that the project's files import and neither the zip's contents nor Lambda has."""
    available = {each.name.partition(".")[0] for each in contents.iterdir()} | sys.stdlib_module_names | _LAMBDA_HAS
    imported = {name for file in files if file.suffix == ".py" for name in _imports(file)}
    return sorted(imported - available)


def _tags(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each distribution with each tag of its wheel."""
    for path in sorted(folder.glob("*.dist-info/WHEEL")):
        name = path.parent.name.removesuffix(".dist-info")
        for tag in HeaderParser().parsestr(path.read_text()).get_all("Tag", []):
            yield name, tag


def _size(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def _largest(folder: Path) -> str:
    sizes = {each.name: _size(each) for each in folder.iterdir() if each.is_dir()}
    three = sorted(sizes.items(), key=lambda each: -each[1])[:3]
    return ", ".join(f"{name} {size / 1024**2:.0f} MB" for name, size in three)


def _imports(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return  # a template, for example; the app cannot import it, because loading the app has already worked
    yield from _top_names(tree)


def _top_names(node: ast.AST) -> Iterator[str]:
    """Yield the first part of each imported name, except imports that may fail: under `try … except ImportError` and `if TYPE_CHECKING`."""
    if isinstance(node, ast.Import):
        yield from (each.name.partition(".")[0] for each in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        yield node.module.partition(".")[0]
    elif not _is_optional(node):
        for child in ast.iter_child_nodes(node):
            yield from _top_names(child)


def _is_optional(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.dump(node.test)
    return isinstance(node, ast.Try) and any(
        "ImportError" in ast.dump(each) or "ModuleNotFoundError" in ast.dump(each) for each in node.handlers
    )

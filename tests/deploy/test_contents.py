"""Code that would not run in Lambda is refused while it is packed."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from offpoll import ConfigurationError
from offpoll.deploy import contents
from offpoll.deploy.contents import check_contents, elf_machine, missing_modules
from offpoll.deploy.target import Target

ARM = Target(runtime="python3.13", architecture="arm64")


def library(path: Path, *, machine: int, order: str = "<") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x7fELF\x02" + (b"\x01" if order == "<" else b"\x02") + b"\0" * 12 + struct.pack(f"{order}H", machine))
    return path


def wheel(folder: Path, *tags: str) -> None:
    (folder / "thing-1.0.dist-info").mkdir()
    (folder / "thing-1.0.dist-info" / "WHEEL").write_text("Wheel-Version: 1.0\n" + "".join(f"Tag: {tag}\n" for tag in tags))


def test_a_library_for_another_machine(tmp_path: Path) -> None:
    """The library's own header decides, not its name."""
    library(tmp_path / "ours.so", machine=0xB7)
    check_contents(tmp_path, target=ARM)
    library(tmp_path / "libs" / "libz.so.1", machine=0x3E)
    with pytest.raises(ConfigurationError, match=r"libs/libz\.so\.1 is for x86_64, but the functions run on arm64"):
        check_contents(tmp_path, target=ARM)


@pytest.mark.parametrize(
    "tag", ["cp313-cp313-linux_aarch64", "cp313-cp313-linux_x86_64", "cp313-cp313-macosx_14_0_arm64", "py3-none-win_arm64"]
)
def test_a_wheel_built_here(tmp_path: Path, tag: str) -> None:
    """A wheel without manylinux was built for this machine's libraries, even if the architecture matches."""
    wheel(tmp_path, tag)
    with pytest.raises(ConfigurationError, match=rf"thing-1\.0 was built here \({tag}\)"):
        check_contents(tmp_path, target=ARM)


@pytest.mark.parametrize("tag", ["py3-none-any", "cp313-cp313-manylinux_2_17_aarch64", "cp311-abi3-manylinux2014_aarch64"])
def test_wheels_that_run_in_lambda(tmp_path: Path, tag: str) -> None:
    """Pure Python, and wheels for Lambda's machine, are accepted."""
    wheel(tmp_path, tag)
    check_contents(tmp_path, target=ARM)


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the largest parts."""
    monkeypatch.setattr(contents, "UNZIPPED_LIMIT", 1024**2)
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "data").write_bytes(b"\0" * (2 * 1024**2))
    with pytest.raises(ConfigurationError, match="have 2 MB, and Lambda takes 1; the largest parts: numpy 2 MB"):
        check_contents(tmp_path, target=ARM)


def test_other_files_have_no_machine(tmp_path: Path) -> None:
    """Text and short files have no machine; big-endian headers are read correctly."""
    for name, data in (("a.py", b"import os"), ("b", b"\x7fELF"), ("c", b"")):
        (tmp_path / name).write_bytes(data)
        assert elf_machine(tmp_path / name) is None
    assert elf_machine(library(tmp_path / "d.so", machine=0x3E, order=">")) == 0x3E


SERVICE = """
import json, helper, offpoll.testing, boto3
from yaml.nodes import Node
from . import sibling
if TYPE_CHECKING:
    import mypy_boto3_s3
try:
    import orjson
except ImportError:
    orjson = None

def handler():
    from requests.adapters import HTTPAdapter
"""


def test_a_forgotten_requirement(tmp_path: Path) -> None:
    """A missing import is named wherever it stands, unless the zip, the standard library or Lambda has it, or it is optional."""
    contents = tmp_path / "contents"
    contents.mkdir()
    for name in ("offpoll", "helper.py"):
        (contents / name).touch()
    for name, text in (("orders.py", SERVICE), ("template.py", "{{ no Python }}"), ("data.json", "import numpy")):
        (tmp_path / name).write_text(text)
    assert missing_modules(sorted(tmp_path.glob("*.*")), contents=contents) == ["requests", "yaml"]

"""Requirements that apply in Lambda but not on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from offpoll.deploy import package
from offpoll.deploy.package import gather
from offpoll.deploy.target import Target, missing_requirements

LAMBDA = Target(runtime="python3.15", architecture="arm64")


def installed(folder: Path, name: str, *requires: str) -> None:
    (folder / f"{name}-1.dist-info").mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1", *(f"Requires-Dist: {each}" for each in requires)]
    (folder / f"{name}-1.dist-info" / "METADATA").write_text("\n".join(lines) + "\n\nSome text.\n")


def test_requirements_of_lambda_alone(tmp_path: Path) -> None:
    """Markers may name Python, system or machine. The requirement keeps versions and extras, and loses its marker."""
    installed(
        tmp_path,
        "service",
        'newer[fast]>=2,<3; python_version >= "3.15"',
        'older; python_version < "3.15"',
        'arm; platform_machine == "aarch64" and sys_platform == "linux"',
        'windows; sys_platform == "win32"',
        'wanted; extra == "more"',
        "always",
    )
    assert missing_requirements(tmp_path, target=LAMBDA, requirements=None) == ["arm", "newer[fast]<3,>=2"]


def test_an_installed_requirement_is_not_repeated(tmp_path: Path) -> None:
    """Its name counts in any spelling."""
    installed(tmp_path, "service", 'Type.Extensions; python_version >= "3.15"')
    installed(tmp_path, "type_extensions")
    assert missing_requirements(tmp_path, target=LAMBDA, requirements=None) == []


def test_the_projects_requirements(tmp_path: Path) -> None:
    """Lines of requirements.txt have markers too; lines that only pip can read are left to pip."""
    (tmp_path / "requirements.txt").write_text('-r other.txt\n\n./local\nnewer==1 ; python_version >= "3.15"  # why\nplain\n')
    assert missing_requirements(tmp_path, target=LAMBDA, requirements=tmp_path / "requirements.txt") == ["newer==1"]


@pytest.mark.skipif(sys.version_info >= (3, 15), reason="here the marker holds for pip as well")
def test_pip_resolves_them_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip installs everything again with the requirements it left out, and again with theirs, so that it resolves all together."""
    asked: list[list[str]] = []

    def install(*_: Any, into: Path, also: list[str], **__: Any) -> None:
        asked.append(also)
        installed(into, "service", 'first; python_version >= "3.15"')
        for name in also:
            installed(into, name, 'second; python_version >= "3.15"')

    monkeypatch.setattr(package, "_install", install)
    (tmp_path / "project").mkdir()
    gather(tmp_path / "project", target=LAMBDA, requirements=None, into=tmp_path / "out")
    assert asked == [[], ["first"], ["first", "second"]]
    assert {each.name for each in (tmp_path / "out").iterdir()} == {"service-1.dist-info", "first-1.dist-info", "second-1.dist-info"}

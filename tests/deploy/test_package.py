"""The functions' zip, as it is uploaded: built for Lambda's machine, and complete. pip fetches the wheels."""

from __future__ import annotations

import json
import marshal
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import SERVICE

from offpoll import ConfigurationError, OffpollError
from offpoll.deploy import package
from offpoll.deploy.contents import UNZIPPED_LIMIT, elf_machine
from offpoll.deploy.package import build, has_module, project_files
from offpoll.deploy.target import Target

#: The template's defaults.
LAMBDA = Target(runtime="python3.15", architecture="arm64")

#: A target that this interpreter can import.
HERE = Target(runtime=f"python3.{sys.version_info.minor}", architecture="arm64" if os.uname().machine == "aarch64" else "x86_64")

#: Starts each function with only the zip and the standard library. Lambda also has boto3, which nothing here may import.
START = """if True:
    import sys
    sys.path.insert(0, sys.argv[1])
    from importlib.metadata import version
    from offpoll.functions import api, worker, dead_letters
    import json, offpoll, pydantic_core
    asked = {"boto3", "botocore", "fastapi", "typer", "rich"} & sys.modules.keys()
    print(json.dumps({"folder": offpoll.__file__, "asked": sorted(asked), "version": version("offpoll")}))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An app with a model, tests and a secret."""
    folder = tmp_path / "project"
    folder.mkdir()
    files = {"shop.py": SERVICE, "test_shop.py": "import pytest", ".env": "SECRET=1", "requirements.txt": "offpoll\npydantic>=2.11,<3\n"}
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def built(project: Path, target: Target, into: Path) -> Any:
    into.mkdir()
    package = build(project, module="shop", target=target, requirements=project / "requirements.txt", into=into)
    assert package.missing == []
    return package.archive


def test_for_lambdas_machine(project: Path, tmp_path: Path) -> None:
    """Every library in the zip is for arm64, every wheel came built, and the zip is far below Lambda's limit."""
    archive = built(project, LAMBDA, tmp_path / "zip")
    with zipfile.ZipFile(archive.path) as made:
        made.extractall(tmp_path / "out")
        names = made.namelist()
    machines = {name: elf_machine(tmp_path / "out" / name) for name in names if ".so" in Path(name).name}
    assert {name.split("/")[0] for name in machines} >= {"pydantic_core"}
    assert set(machines.values()) == {0xB7}
    tags = [line for name in names if name.endswith(".dist-info/WHEEL") for line in (tmp_path / "out" / name).read_text().splitlines()]
    assert {tag.rpartition("-")[2] for tag in tags if tag.startswith("Tag: ") and not tag.endswith("-any")} <= {
        "manylinux2014_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64.manylinux_2_17_aarch64",
        "manylinux_2_17_aarch64.manylinux2014_aarch64",
    }
    assert archive.unzipped < UNZIPPED_LIMIT / 5
    assert {"shop.py", "offpoll/functions/__init__.py", "offpoll/aws/template.yaml"} <= set(names)
    left_out = ("offpoll/cli/", "offpoll/deploy/", "offpoll/testing/", "bin/", ".env", "test_shop.py", "fastapi/", "uvicorn/", "boto")
    assert [name for name in names if name.startswith(left_out)] == []
    assert {name.split(".")[-2] for name in names if name.endswith(".pyc")} <= {"cpython-315"}


def test_the_zip_is_complete(project: Path, tmp_path: Path) -> None:
    """All three functions start from the zip alone: no site-packages, no boto3, no installed offpoll."""
    archive = built(project, HERE, tmp_path / "zip")
    with zipfile.ZipFile(archive.path) as made:
        made.extractall(tmp_path / "out")
    environ = {
        "OFFPOLL_APP": "shop:app",
        "OFFPOLL_SECRET": "s" * 32,
        "OFFPOLL_BUCKET": "documents",
        "OFFPOLL_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/q",
        "OFFPOLL_DEAD_LETTER_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/d",
        "OFFPOLL_PARKING_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/p",
        "OFFPOLL_RECORDS_TABLE": "records",
        "AWS_REGION": "eu-west-1",
    }
    command = [sys.executable, "-I", "-S", "-B", "-c", START, str(tmp_path / "out")]
    done = subprocess.run(command, cwd=tmp_path / "out", env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["asked"] == []
    assert Path(said["folder"]).is_relative_to(tmp_path / "out")


def test_a_requirement_without_a_wheel(project: Path, tmp_path: Path) -> None:
    """A source distribution is not built here, because it would be built for this machine. The error has pip's reason."""
    (tmp_path / "thing-1.0").mkdir()
    (tmp_path / "thing-1.0" / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
    with tarfile.open(tmp_path / "thing-1.0.tar.gz", "w:gz") as source:
        source.add(tmp_path / "thing-1.0", "thing-1.0")
    (project / "requirements.txt").write_text(f"--no-index\n--find-links {tmp_path}\nthing\n")
    with pytest.raises(OffpollError, match=r"for python3\.15 on arm64:\nERROR: .*thing \(from versions: none\)"):
        built(project, LAMBDA, tmp_path / "zip")


class TestWithoutPip:
    """What the package decides by itself; nothing is fetched."""

    @pytest.fixture(autouse=True)
    def _no_pip(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def install(*_: Any, into: Path, **__: Any) -> None:
            (into / "bin").mkdir()
            (into / "bin" / "tool").touch()
            (into / "thing.py").touch()
            (into / "thing-1.dist-info").mkdir()
            for name in ("METADATA", "RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
                (into / "thing-1.dist-info" / name).write_text("Name: thing\n")

        monkeypatch.setattr(package, "_install", install)
        (project / "shop.py").write_text("import thing")

    def test_bytecode_for_lambdas_python(self, project: Path, tmp_path: Path) -> None:
        """If this is Lambda's Python, the zip has bytecode for a faster cold start. No file time is checked, and it names /var/task."""
        archive = built(project, HERE, tmp_path / "zip")
        with zipfile.ZipFile(archive.path) as made:
            bytecode = made.read(f"__pycache__/shop.cpython-3{sys.version_info.minor}.pyc")
        assert bytecode[4:8] == b"\x01\0\0\0"  # PEP 552: by hash, unchecked
        assert marshal.loads(bytecode[16:]).co_filename == "/var/task/shop.py"
        other = built(project, LAMBDA, tmp_path / "other")
        assert other.digest != archive.digest or shutil.which("python3.15")

    def test_traces_of_this_machine_are_left_out(self, project: Path, tmp_path: Path) -> None:
        """The zip has no scripts, paths or times of the installation."""
        with zipfile.ZipFile(built(project, LAMBDA, tmp_path / "zip").path) as made:
            assert made.namelist() == ["requirements.txt", "shop.py", "thing-1.dist-info/METADATA", "thing.py"]

    def test_a_module_outside_the_project(self, project: Path, tmp_path: Path) -> None:
        """A module that can be imported here would be missing in Lambda."""
        (project / "shop.py").rename(tmp_path / "shop.py")
        with pytest.raises(ConfigurationError, match=r"shop is neither in .*project nor comes with the requirements"):
            built(project, LAMBDA, tmp_path / "zip")

    def test_a_name_that_is_taken(self, project: Path, tmp_path: Path) -> None:
        """A file of the project does not silently replace a requirement's file."""
        (project / "thing.py").touch()
        with pytest.raises(ConfigurationError, match=r"thing\.py of .* has the name of a file that one of the requirements brings"):
            built(project, LAMBDA, tmp_path / "zip")


def test_without_pip(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the environment has no pip, the error says how to get it."""
    monkeypatch.setattr(package, "find_spec", lambda name: None if name == "pip" else find_spec(name))
    with pytest.raises(ConfigurationError, match="needs pip in this environment: python -m ensurepip"):
        built(project, LAMBDA, tmp_path / "zip")


def test_the_projects_files(tmp_path: Path) -> None:
    """Modules, packages and their data are packed; tests, hidden and generated files and any virtual environment are not."""
    kept = ["orders.py", "prices.json", "shop/__init__.py", "shop/data/rates.csv"]
    left = [
        ".env",
        ".git/config",
        "__pycache__/orders.cpython-311.pyc",
        "conftest.py",
        "dist/old.whl",
        "env/pyvenv.cfg",
        "env/lib/x.py",
        "functions.zip",
        "shop.egg-info/PKG-INFO",
        "shop/test_prices.py",
        "test_orders.py",
        "tests/data.json",
    ]
    for name in (*kept, *left):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert [each.as_posix() for each in project_files(tmp_path)] == kept


@pytest.mark.parametrize(
    ("module", "there"), [("orders", True), ("shop", True), ("shop.api", True), ("other", False), ("shop.other", False)]
)
def test_whether_a_module_is_there(tmp_path: Path, module: str, there: bool) -> None:
    """A module is a file or a folder, as Python looks for it."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "orders.py").touch()
    (tmp_path / "shop" / "api.py").touch()
    assert has_module(tmp_path, module) is there

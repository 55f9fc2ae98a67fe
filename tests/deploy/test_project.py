"""Which files of a folder are deployed."""

from __future__ import annotations

from pathlib import Path

import pytest

from offpoll.deploy.project import holds, project_files


def test_what_is_the_service_s(tmp_path: Path) -> None:
    """Modules, packages and their data; no tests, nothing hidden, nothing that was made, no environment whatever it is called."""
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
    """A file or a folder, as Python looks for it."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "orders.py").touch()
    (tmp_path / "shop" / "api.py").touch()
    assert holds(tmp_path, module) is there

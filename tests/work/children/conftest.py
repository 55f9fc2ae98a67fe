"""The apps that run in children."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

SUPPORT = Path(__file__).parents[2] / "support"


@pytest.fixture
def apps(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The apps, importable here and in children, which inherit this `sys.path`."""
    monkeypatch.syspath_prepend(str(SUPPORT))
    import apps_for_children  # type: ignore[import-not-found,unused-ignore]

    return apps_for_children  # type: ignore[no-any-return,unused-ignore]

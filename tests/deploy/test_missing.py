"""What a service imports and will not find in Lambda."""

from __future__ import annotations

from pathlib import Path

from offpoll.deploy.missing import missing

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


def test_a_requirement_that_was_forgotten(tmp_path: Path) -> None:
    """Named, wherever it is imported; not what is in the zip, in the standard library or in Lambda, nor what may be missing."""
    contents = tmp_path / "contents"
    contents.mkdir()
    for name in ("offpoll", "helper.py"):
        (contents / name).touch()
    for name, text in (("orders.py", SERVICE), ("template.py", "{{ no Python }}"), ("data.json", "import numpy")):
        (tmp_path / name).write_text(text)
    assert missing(sorted(tmp_path.glob("*.*")), contents=contents) == ["requests", "yaml"]

"""Modules that the project's own files import and that the functions' zip has not.

Decides what to warn of, by reading the files. What the requirements import is their own affair: pip installs what they say they need. It is
no proof: a module may be imported only where it is needed, or where it happens to be installed.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["missing"]

#: What Lambda's own Python has beside the standard library.
#: https://docs.aws.amazon.com/lambda/latest/dg/python-package.html
_LAMBDA_HAS = frozenset({"boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3"})


def missing(files: Iterable[Path], *, contents: Path) -> list[str]:
    """Return the modules that are imported and not there.

    Args:
        files: the project's.
        contents: the folder that becomes the zip.
    """
    there = {each.name.partition(".")[0] for each in contents.iterdir()} | sys.stdlib_module_names | _LAMBDA_HAS
    imported = {name for file in files if file.suffix == ".py" for name in _imports(file)}
    return sorted(imported - there)


def _imports(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return  # a template, say: it is not what the service imports, which was imported before
    yield from _tops(tree)


def _tops(node: ast.AST) -> Iterator[str]:
    """Yield the first part of each imported name, but for what may fail: under `try … except ImportError` and `if TYPE_CHECKING`."""
    if isinstance(node, ast.Import):
        yield from (each.name.partition(".")[0] for each in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        yield node.module.partition(".")[0]
    elif not _is_optional(node):
        for child in ast.iter_child_nodes(node):
            yield from _tops(child)


def _is_optional(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.dump(node.test)
    return isinstance(node, ast.Try) and any(
        "ImportError" in ast.dump(each) or "ModuleNotFoundError" in ast.dump(each) for each in node.handlers
    )

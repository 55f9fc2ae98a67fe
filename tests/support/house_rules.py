"""Measures what the house rules limit: the length of files and functions, import cycles, and uses of asyncio's private parts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

__all__ = ["cycle", "function_lengths", "imports", "long_files", "percentile", "private_parts"]

#: The usual names of asyncio's objects.
_ASYNCIO = re.compile(r"(?:^|_)(?:asyncio|loop|task|future|handle|timer|runner|transport)$")


def long_files(folders: Iterable[Path], *, most: int) -> dict[Path, int]:
    """Return the Python files with more than `most` lines, and their lengths."""
    lengths = {path: len(path.read_text().splitlines()) for folder in folders for path in sorted(folder.rglob("*.py"))}
    return {path: length for path, length in lengths.items() if length > most}


def function_lengths(folder: Path) -> list[int]:
    """Return the number of lines of each function, without decorators, with its docstring."""
    nodes = (node for path in folder.rglob("*.py") for node in ast.walk(ast.parse(path.read_text())))
    return [(node.end_lineno or 0) - node.lineno + 1 for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def percentile(values: list[int], share: float) -> int:
    """Return the smallest value that this share of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def imports(package: Path) -> dict[str, set[str]]:
    """Return for each module of a package the modules of it that it imports, also inside functions and for type checking."""
    modules = {_module(path, package): path for path in package.rglob("*.py")}
    return {name: set(_imported(path, modules)) for name, path in modules.items()}


def _module(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(path: Path, modules: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            for each in node.names:
                submodule = f"{node.module}.{each.name}"
                yield submodule if submodule in modules else node.module


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """Return one cycle of a graph, with its first module again at the end; an empty list if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found[::-1]  # graphlib's arrows point from the imported module
    return []


def private_parts(path: Path) -> list[str]:
    """Return the places where a file uses a private part of asyncio, judged by names: `loop._ready`, `asyncio.events._lib`."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and re.match(r"_(?!_)", node.attr) and _ASYNCIO.search(_last_name(node.value)):
            found.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "asyncio":
            found += [f"{path.name}:{node.lineno}: {node.module}.{each.name}" for each in node.names if each.name.startswith("_")]
    return found


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return "asyncio" if ast.unparse(node).startswith("asyncio.") else node.attr
    return ""

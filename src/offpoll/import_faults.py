"""Says why a user's module cannot be imported: the error, and the lines of the user's own code that led to it.

Frames of offpoll, of the import system and of other packages are left out, because the user can fix nothing in them.
"""

from __future__ import annotations

import traceback
from difflib import get_close_matches
from pathlib import Path

__all__ = ["describe", "has_users_frames", "why_missing"]

#: Most frames to show: the last ones. A recursion has a thousand.
_FRAMES = 8

_OURS = Path(__file__).parent


def describe(what: str, error: BaseException, *, module: str, folder: Path) -> str:
    """Describe an error in several lines.

    Args:
        what: what failed, such as `orders cannot be imported`.
        module: the module that the user named.
        folder: where Python looks besides the installed packages.
    """
    said = f"it called sys.exit({'' if error.code is None else repr(error.code)})" if isinstance(error, SystemExit) else _said(error)
    lines = [f"{what}: {said}", *_frames(error, module)]
    if isinstance(error, SyntaxError):
        lines += _syntax(error)
    cause = error.__cause__
    if cause is not None:
        lines.append(f"  caused by {_said(cause)}")
    if isinstance(error, ModuleNotFoundError) and error.name:
        lines.append(_how_to_find(error.name, error, folder))
    return "\n".join(lines)


def has_users_frames(error: BaseException) -> bool:
    """Tell whether an error passed through the user's own code, and not only through packages."""
    return any(_is_users(each.filename, "") for each in traceback.extract_tb(error.__traceback__))


def why_missing(name: str, folder: Path) -> str:
    """Say that there is no such module, and where it may be."""
    said = f"there is no module {name!r} in {folder} or among the installed packages"
    near = get_close_matches(name.rpartition(".")[2], [each.stem for each in sorted(folder.glob("*.py"))], n=3)
    below = _file_of(name, sorted({*folder.glob("*/"), *folder.glob("../*/")}))
    if near:
        return f"{said}; did you mean {' or '.join(near)}?"
    if below is not None:
        return f"{said}. {below} exists: run the command in {below.parent}"
    return f"{said}. Python looks in the folder where the command runs: is the app there?"


def _said(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}"
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _frames(error: BaseException, module: str) -> list[str]:
    """Return the user's frames, two lines each, as a traceback shows them."""
    found = traceback.extract_tb(error.__traceback__)
    own = [each for each in found if _is_users(each.filename, module)]
    lines: list[str] = []
    for each in own[-_FRAMES:]:
        lines.append(f'  File "{each.filename}", line {each.lineno}, in {each.name}')
        if each.line:
            lines.append(f"    {each.line}")
    return lines


def _is_users(filename: str, module: str) -> bool:
    path = Path(filename)
    if filename.startswith("<") or path.is_relative_to(_OURS):
        return False
    for each in _paths("purelib", "platlib"):
        if path.is_relative_to(each):  # an app may be installed as a package
            return path.relative_to(each).parts[0].removesuffix(".py") == module.partition(".")[0]
    return not any(path.is_relative_to(each) for each in _paths("stdlib", "platstdlib"))


def _paths(*names: str) -> list[Path]:
    """Return where this Python keeps its modules."""
    import sysconfig  # noqa: PLC0415 - a function's cold start imports no module for an error that it does not meet

    return [Path(sysconfig.get_path(each)) for each in names]


def _syntax(error: SyntaxError) -> list[str]:
    """Return the file, the line and a caret below the place."""
    shown = "".join(traceback.format_exception_only(error)).splitlines()
    return [line for line in shown if line.startswith(" ")]


def _how_to_find(name: str, error: ModuleNotFoundError, folder: Path) -> str:
    """Say whether a missing module is a package to install, or a file of the user's that Python does not look for."""
    users = [Path(each.filename).parent for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith("<")]
    path = _file_of(name, users[::-1])
    if path is not None:
        inside = ".".join((*path.parent.relative_to(folder).parts, name)) if path.is_relative_to(folder) else ""
        fix = f", or import it as {inside}" if inside and inside != name else ""
        return f"  {path} exists, but Python does not look there. It looks in {folder}: run the command in {path.parent}{fix}"
    return f"  Is {name} a package? Then install it. Is it a file of yours? Python looks in {folder}, where the command runs"


def _file_of(name: str, folders: list[Path]) -> Path | None:
    """Return a module's file in one of these folders."""
    relative = Path(*name.split("."))
    candidates = (path for each in folders for path in (each / relative.with_suffix(".py"), each / relative / "__init__.py"))
    return next((path.resolve() for path in candidates if path.is_file()), None)

"""Packs a folder into a zip. Equal contents get the same digest, whenever and wherever they are packed."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Archive", "pack"]

#: The earliest time that a zip can state.
_LONG_AGO = (1980, 1, 1, 0, 0, 0)

#: Everybody may read: Lambda runs the code as another user.
_MODE = 0o644


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A packed folder.

    Attributes:
        digest: 32 hex digits of the contents, not of the zip: another zlib release packs other bytes. Of bytecode only its presence counts:
            it follows from its source, but Python does not promise equal bytes.
        size, unzipped: bytes.
    """

    path: Path
    digest: str
    size: int
    unzipped: int
    files: int


def pack(folder: Path, path: Path) -> Archive:
    """Pack a folder, with sorted names and without times or owners."""
    names = sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file())
    digest, unzipped = hashlib.sha256(), 0
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            content = (folder / name).read_bytes()
            unzipped += len(content)
            counted = b"" if name.endswith(".pyc") else content
            digest.update(hashlib.sha256(name.encode()).digest() + hashlib.sha256(counted).digest())
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.create_system, entry.external_attr, entry.compress_type = 3, _MODE << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return Archive(path=path, digest=digest.hexdigest()[:32], size=path.stat().st_size, unzipped=unzipped, files=len(names))

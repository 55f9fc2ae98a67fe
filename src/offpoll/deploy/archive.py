"""The zip file itself. Decides that the same contents make the same name, whenever and wherever they are packed."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Archive", "pack"]

#: The earliest time a zip can say.
_LONG_AGO = (1980, 1, 1, 0, 0, 0)

#: Everybody may read: Lambda runs the code as a user of its own.
_MODE = 0o644


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A packed folder.

    Attributes:
        path: the zip.
        digest: of the contents, 32 hex digits. Not of the zip: another release of zlib packs other bytes. Not of bytecode: it follows from
            its source, but Python does not promise the same bytes; only that there is some counts.
        size, unzipped: bytes.
        files: how many there are.
    """

    path: Path
    digest: str
    size: int
    unzipped: int
    files: int


def pack(folder: Path, path: Path) -> Archive:
    """Pack a folder: names in order, no times, no owners."""
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

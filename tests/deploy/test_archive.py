"""The zip: equal contents give equal bytes and an equal name."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from offpoll.deploy.archive import Archive, pack


def packed(folder: Path, **files: str) -> Archive:
    contents = folder / "contents"
    contents.mkdir(parents=True)
    for name, text in files.items():
        (contents / name).write_text(text)
        os.utime(contents / name, (len(text) * 1e6, len(text) * 1e6))
        (contents / name).chmod(0o600)
    return pack(contents, folder / "out.zip")


def test_the_same_contents_make_the_same_zip(tmp_path: Path) -> None:
    """Times, permissions and the order of files' creation do not change the zip."""
    first, second = packed(tmp_path / "a", one="1", two="22"), packed(tmp_path / "b", two="22", one="1")
    os.utime(tmp_path / "b" / "contents" / "one", (1e9, 1e9))
    second = pack(tmp_path / "b" / "contents", tmp_path / "b" / "again.zip")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.digest == second.digest
    assert (first.files, first.unzipped, first.size) == (2, 3, first.path.stat().st_size)


def test_other_contents_have_another_digest(tmp_path: Path) -> None:
    """The digest changes even if only a name differs, or if bytes move from one file to the next."""
    made = [packed(tmp_path / "a", one="1", two="2"), packed(tmp_path / "b", one="1", to="2"), packed(tmp_path / "c", one="12", two="")]
    assert len({each.digest for each in made}) == 3


def test_bytecode_counts_only_by_its_name(tmp_path: Path) -> None:
    """Compiling twice may give other bytes, so only the source counts."""
    made = [packed(tmp_path / each, **{"a.py": "1", "a.cpython-315.pyc": each}) for each in ("a", "b")]
    assert made[0].digest == made[1].digest
    assert packed(tmp_path / "c", **{"a.py": "1"}).digest != made[0].digest


def test_everybody_may_read_it(tmp_path: Path) -> None:
    """Lambda runs the code as another user, whatever the umask was here."""
    with zipfile.ZipFile(packed(tmp_path, one="1").path) as archive:
        assert [each.external_attr >> 16 for each in archive.infolist()] == [0o644]

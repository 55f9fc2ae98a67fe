"""Builds a Dockerfile's stages without a container engine: runs its own lines, each stage in a separate file system, by Linux's namespaces.

A file system begins like the base image, with read-only access to this machine's programs and Python: no home, no site-packages, no
environment. Only the steps write to it. Building needs root, as `unshare`, `mount` and `chroot` do. It differs from an engine in two
points: this machine's Python and distribution stand in for the base image's, and an image is a folder instead of layers.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeAlias

from tests.support.dockerfile import Instruction, Stage, expand

__all__ = ["PATH", "Image", "Mount", "build", "can_build"]

#: Source, target, `ro` or `rw`.
Mount: TypeAlias = tuple[Path, str, str]

#: The prefix of this machine's Python.
PYTHON = Path(sys.base_prefix)

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: The files in a base image's /etc that the steps need: users, name resolution, certificates.
ETC = ("group", "gshadow", "hosts", "ld.so.cache", "login.defs", "nsswitch.conf", "passwd", "resolv.conf", "shadow", "ssl")

#: Variables by which this machine reaches its package registry. An engine's user would give them as build arguments.
REGISTRY = (
    "PIP_CERT",
    "PIP_INDEX_URL",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "https_proxy",
    "http_proxy",
    "NO_PROXY",
)

#: $1 is the file system, $2 ro or rw, $3 the user, $4 the working folder, $5 the number of mounts, which follow as source, target, ro or
#: rw; then variables and a command, as for `env`. A read-only file system still gets a fresh /tmp, as in compose.yaml.
#: `setpriv --pdeathsig` ends the command with its parent: the change of user makes the kernel forget `unshare --kill-child`.
_ENTER = """
set -e
root=$1 access=$2 user=$3 folder=$4 mounts=$5; shift 5
mount --bind "$root" "$root"
while [ "$mounts" -gt 0 ]; do
    mount --rbind "$1" "$root$2"
    [ "$3" = rw ] || mount -o remount,bind,ro "$root$2"
    mounts=$((mounts - 1)); shift 3
done
mount -t proc proc "$root/proc"
[ "$access" = rw ] || { mount -t tmpfs tmpfs "$root/tmp"; mount -o remount,bind,ro "$root"; }
exec chroot --userspec="$user" "$root" /usr/bin/setpriv --pdeathsig KILL /usr/bin/env -i --chdir="$folder" "$@"
"""

#: Ends a process with this one, however this one ends.
_WITH_US = ("setpriv", "--pdeathsig", "KILL")


@cache
def base() -> Path:
    """Make a stand-in for the base image's /usr/local: `python` and `pip`, which a distribution's Python lacks, and no package."""
    folder = Path(tempfile.mkdtemp(prefix="offpoll-base-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)  # a container runs as another user than this test
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return folder


def can_build() -> bool:
    """Tell whether this machine allows building: root, and namespaces."""
    return (
        os.geteuid() == 0
        and subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "true"], check=False, capture_output=True).returncode == 0
    )


@dataclass(kw_only=True)
class Image:
    """The result of a stage: a file system, and how to run it."""

    root: Path
    context: Path
    environ: dict[str, str] = field(default_factory=lambda: {"PATH": f"{base()}/bin:{PATH}"})
    folder: str = "/"
    user: str = "0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)

    def arguments(
        self,
        command: Sequence[str],
        *,
        environ: Mapping[str, str],
        mounts: Sequence[Mount] = (),
        access: str = "rw",
        net: int | None = None,
    ) -> list[str]:
        """Return the arguments that start a command in this file system.

        Args:
            access: to the file system, `ro` or `rw`.
            net: a process whose network to join; None for this machine's.
        """
        every = [*self._base_mounts(), *mounts]
        for source, target, _ in every:
            if source.is_dir():
                (self.root / target.lstrip("/")).mkdir(parents=True, exist_ok=True)
            else:
                (self.root / target.lstrip("/")).touch()
        where = ["nsenter", f"--net=/proc/{net}/ns/net"] if net else []
        user = self.user if ":" in self.user else f"{self.user}:0"
        enter = [str(self.root), access, user, self.folder, str(len(every)), *(str(part) for mount in every for part in mount)]
        variables = [f"{name}={value}" for name, value in {**self.environ, **environ}.items()]
        isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        return [*_WITH_US, *where, *isolated, "sh", "-c", _ENTER, "sh", *enter, *variables, *command]

    def _base_mounts(self) -> list[Mount]:
        own = [] if PYTHON.is_relative_to("/usr") else [(PYTHON, str(PYTHON), "ro")]
        return [(Path("/usr"), "/usr", "ro"), (Path("/dev"), "/dev", "rw"), (base(), str(base()), "ro"), *own]


def build(
    stages: Mapping[str, Stage], target: str, *, images: dict[str, Image], context: Path, ignored: Sequence[str], work: Path
) -> Image:
    """Build a stage and those it needs. `images` holds the stages built before, and receives the new ones."""
    for name in _needed(stages, target):
        if name not in images:
            image = _start(stages[name], images, context, work / name)
            for instruction in stages[name].instructions:
                _STEPS[instruction.name](image, instruction, images, ignored)
            images[name] = image
    return images[target]


def _needed(stages: Mapping[str, Stage], target: str) -> list[str]:
    wanted = {target}
    for stage in reversed(stages.values()):
        if stage.name in wanted:
            sources = [each.option("from") for each in stage.instructions]
            mounted = [part.removeprefix("from=") for each in stage.instructions for _, value in each.options for part in value.split(",")]
            wanted |= {stage.base, *sources, *mounted} & set(stages)
    return [name for name in stages if name in wanted]


def _start(stage: Stage, images: Mapping[str, Image], context: Path, root: Path) -> Image:
    if stage.base in images:
        base = images[stage.base]
        subprocess.run(["cp", "-a", str(base.root), str(root)], check=True)
        return Image(**{**vars(base), "root": root, "context": context, "environ": dict(base.environ)})
    assert stage.base.startswith("python:"), f"{stage.base} has no stand-in here"
    for folder in ("dev", "etc", "proc", "root", "tmp", "usr", "var"):
        (root / folder).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    for link in ("bin", "lib", "lib64", "sbin"):
        (root / link).symlink_to(f"usr/{link}")
    for name in ETC:
        if (source := Path("/etc") / name).exists():
            subprocess.run(["cp", "-aL", str(source), str(root / "etc")], check=True)
    return Image(root=root, context=context)


def _run(image: Image, step: Instruction, images: Mapping[str, Image], ignored: Sequence[str]) -> None:
    registry = {name: os.environ[name] for name in REGISTRY if name in os.environ}
    mounts = [_mount(value, images) for name, value in step.options if name == "mount"]
    command = image.arguments(["/bin/sh", "-c", step.text], environ=registry, mounts=mounts)
    ended = subprocess.run(command, env={"PATH": PATH}, check=False, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, f"RUN {step.text}\n{ended.stdout[-2000:]}{ended.stderr[-4000:]}"


def _mount(value: str, images: Mapping[str, Image]) -> Mount:
    options = dict(part.split("=", 1) for part in value.split(","))
    if options["type"] == "cache":  # the builder's cache is this user's
        cache = Path(os.environ.get("PIP_CACHE_DIR") or Path.home() / ".cache" / "pip")
        cache.mkdir(parents=True, exist_ok=True)
        return cache, options["target"], "rw"
    assert options["type"] == "bind"
    return images[options["from"]].root / options["source"].lstrip("/"), options["target"], "ro"


def _copy(image: Image, step: Instruction, images: Mapping[str, Image], ignored: Sequence[str]) -> None:
    *sources, target = step.words
    name = step.option("from")
    place = image.root / os.path.join(image.folder, target).lstrip("/")
    for source in sources:
        assert name or _let_through(source, ignored), f"COPY {source}: .dockerignore keeps it out"
        origin = images[name].root / source.lstrip("/") if name else image.context / source
        if origin.is_dir():
            shutil.copytree(
                origin, place, symlinks=True, dirs_exist_ok=True, ignore=None if name else shutil.ignore_patterns("__pycache__")
            )
        else:
            to = place / origin.name if target.endswith("/") else place
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(origin, to)


def _let_through(source: str, ignored: Sequence[str]) -> bool:
    """Tell whether a .dockerignore that begins with `*` lets a path of the context through."""
    assert ignored[0] == "*"
    return any(
        source == each or source.startswith(f"{each}/") for each in (line.removeprefix("!") for line in ignored if line.startswith("!"))
    )


def _environ(image: Image, step: Instruction, images: Mapping[str, Image], ignored: Sequence[str]) -> None:
    image.environ.update(expand(word, image.environ).split("=", 1) for word in step.words)


def _folder(image: Image, step: Instruction, images: Mapping[str, Image], ignored: Sequence[str]) -> None:
    image.folder = step.text
    (image.root / step.text.lstrip("/")).mkdir(parents=True, exist_ok=True)


def _healthcheck(image: Image, step: Instruction, images: Mapping[str, Image], ignored: Sequence[str]) -> None:
    assert step.text.startswith("CMD [")
    image.healthcheck = Instruction(name="CMD", options=(), text=step.text.removeprefix("CMD ")).words


def _user(image: Image, step: Instruction, images: Mapping[str, Image], ignored: Sequence[str]) -> None:
    image.user = step.text


def _entrypoint(image: Image, step: Instruction, images: Mapping[str, Image], ignored: Sequence[str]) -> None:
    image.entrypoint = step.words


def _command(image: Image, step: Instruction, images: Mapping[str, Image], ignored: Sequence[str]) -> None:
    image.command = step.words


def _nothing(image: Image, step: Instruction, images: Mapping[str, Image], ignored: Sequence[str]) -> None:
    """Accept an instruction that only describes the image."""


_STEPS = {
    "CMD": _command,
    "COPY": _copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _environ,
    "EXPOSE": _nothing,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _nothing,
    "RUN": _run,
    "USER": _user,
    "WORKDIR": _folder,
}

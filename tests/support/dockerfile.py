"""A Dockerfile as tests read it: stages of instructions, arguments filled in. Knows no files and runs nothing.

Only what ours uses is understood; anything else is an error, so that no line is passed over.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Instruction", "Stage", "expand", "parse"]

_KNOWN = {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "USER", "WORKDIR"}


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction: `--name=value` before the rest are its options."""

    name: str
    options: tuple[tuple[str, str], ...]
    text: str

    @property
    def words(self) -> list[str]:
        """The rest as words: of a JSON array where it is one (exec form), else as a shell splits them."""
        return json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)

    def option(self, name: str) -> str | None:
        """Return an option's value."""
        return dict(self.options).get(name)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage: what it starts from, and its instructions in order."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def last(self, name: str) -> Instruction | None:
        """Return the last instruction of a name: the one that holds."""
        return next((each for each in reversed(self.instructions) if each.name == name), None)


def expand(text: str, values: Mapping[str, str]) -> str:
    """Fill `$NAME` and `${NAME}` in."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda match: values[match[1] or match[2]], text)


def parse(text: str) -> dict[str, Stage]:
    """Return the stages by name, in order."""
    stages: dict[str, Stage] = {}
    arguments: dict[str, str] = {}
    stage: Stage | None = None
    for instruction in map(_instruction, _lines(text)):
        if instruction.name == "ARG" and stage is None:
            arguments.update([instruction.text.split("=", 1)])
        elif instruction.name == "FROM":
            base, _, name = expand(instruction.text, arguments).partition(" AS ")
            name = name or str(len(stages))
            stage = stages[name] = Stage(name=name, base=base)
        else:
            assert stage is not None, f"{instruction} belongs to no stage"
            assert instruction.name in _KNOWN - {"ARG"}, f"{instruction.name} is not understood here"
            stage.instructions.append(instruction)
    return stages


def _lines(text: str) -> list[str]:
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [line.strip() for line in re.sub(r"\\\n\s*", " ", kept).splitlines() if line.strip()]


def _instruction(line: str) -> Instruction:
    name, _, rest = line.partition(" ")
    options = []
    while match := re.match(r"\s*--([\w-]+)=(\S+)\s+", rest):
        options.append((match[1], match[2]))
        rest = rest[match.end() :]
    return Instruction(name=name, options=tuple(options), text=rest.strip())

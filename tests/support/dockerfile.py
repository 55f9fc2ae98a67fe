"""Parses a Dockerfile into stages of instructions, with arguments filled in. Runs nothing.

It understands only the instructions that ours uses. Anything else is an error, so that it ignores no line.
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
    """One instruction. Its options are the `--name=value` in front of the text."""

    name: str
    options: tuple[tuple[str, str], ...]
    text: str

    @property
    def words(self) -> list[str]:
        """The words of the text: the items of a JSON array (exec form), or else as a shell splits them."""
        return json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)

    def option(self, name: str) -> str | None:
        """Return an option's value."""
        return dict(self.options).get(name)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage: its base, and its instructions in order."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def last(self, name: str) -> Instruction | None:
        """Return the last instruction with a name, which is the valid one."""
        return next((each for each in reversed(self.instructions) if each.name == name), None)


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace `$NAME` and `${NAME}` by their values."""
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

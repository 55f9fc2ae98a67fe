"""The input with which the command line tries a kind, or shows how to."""

from __future__ import annotations

from offpoll.example_input import example_input

__all__ = ["example_input"]

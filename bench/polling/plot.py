"""Plots polls against mean delay as an SVG, with logarithmic axes. A few polylines do not justify a plotting library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["plot"]

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 480, 60, 170, 40, 50

#: The shown ranges of delay (share of the mean duration) and of polls, and the ticks.
DELAYS, POLLS = (0.03, 1.0), (1.0, 30.0)
DELAY_TICKS, POLL_TICKS = (0.03, 0.05, 0.1, 0.2, 0.5, 1.0), (1, 2, 3, 5, 10, 20, 30)

#: People who cannot see red or green can tell these apart (Okabe and Ito).
COLOURS = ("#000000", "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")


def plot(title: str, curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Return the SVG.

    Args:
        curves: by name, points (polls, delay) along a parameter. The first curve is drawn thick.
    """
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="24" font-size="15">{escape(title)}</text>',
        *_axes(),
    ]
    for number, (name, points) in enumerate(curves.items()):
        colour, thick = COLOURS[number % len(COLOURS)], 3.5 if number == 0 else 1.8
        inside = sorted((delay, polls) for polls, delay in points if DELAYS[0] <= delay <= DELAYS[1] and POLLS[0] <= polls <= POLLS[1])
        line = " ".join(f"{_x(delay):.1f},{_y(polls):.1f}" for delay, polls in inside)
        y = TOP + 14 + 20 * number
        parts += [
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="{thick}"/>',
            f'<path d="M{WIDTH - RIGHT + 12} {y - 4}h22" stroke="{colour}" stroke-width="{thick}"/>',
            f'<text x="{WIDTH - RIGHT + 40}" y="{y}">{escape(name)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def _axes() -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for delay in DELAY_TICKS:
        parts.append(f'<path d="M{_x(delay):.1f} {TOP}V{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{_x(delay):.1f}" y="{bottom + 18}" text-anchor="middle">{delay:.0%}</text>')
    for polls in POLL_TICKS:
        parts.append(f'<path d="M{LEFT} {_y(polls):.1f}H{right}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{_y(polls) + 4:.1f}" text-anchor="end">{polls}</text>')
    parts.append(f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 10}" text-anchor="middle">mean delay, share of the mean duration</text>')
    parts.append(f'<text transform="translate(18 {(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">polls of one operation</text>')
    return parts


def _x(delay: float) -> float:
    return LEFT + (WIDTH - RIGHT - LEFT) * _part(delay, DELAYS)


def _y(polls: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * _part(polls, POLLS)


def _part(value: float, scale: tuple[float, float]) -> float:
    return math.log(value / scale[0]) / math.log(scale[1] / scale[0])

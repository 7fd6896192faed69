"""Lengths of time as a person writes them: ``90s``, ``15m``, ``1h30m``, ``2d``, or a number of seconds.

A duration is more than 0 and at most 30 days, so that it fits every timer.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST_S: Final = 30 * 86400.0
_WRITTEN = re.compile(r"(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9}(?:\.[0-9]{1,6})?)s)?\Z")
_UNITS_S: Final = (86400.0, 3600.0, 60.0, 1.0)


def parse_duration(text: str) -> float:
    """Return seconds. Raises ValueError, whose text completes the sentence "timeout ...", for anything else."""
    in_units = f"{text}s" if re.fullmatch("[0-9.]+", text) else text  # a bare number is in seconds
    written = _WRITTEN.match(in_units) if text else None
    if written is None:
        raise ValueError(f'"{text[:40]}" is not a duration: write 90s, 15m, 1h30m, or a number of seconds')
    seconds = sum(float(number) * unit for number, unit in zip(written.groups(), _UNITS_S, strict=True) if number)
    if not 0 < seconds <= LONGEST_S:
        raise ValueError(f"{text[:40]} is out of range: more than 0, at most 30d")
    return seconds

"""What could have been meant: the nearest of the known words to one that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_SHORT = 4
"""Letters; in a word that short one slip is a large part of it."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that resembles ``word`` most or begins with it, upper and lower case taken as one; or None."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    wanted = word.casefold()[:200]
    found = get_close_matches(wanted, by_folded, n=1, cutoff=0.6 if len(wanted) <= _SHORT else 0.7)
    if not found and len(wanted) >= _SHORT:
        found = [candidate for candidate in by_folded if candidate.startswith(wanted)]
    return by_folded[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str | None = None) -> str | None:
    """A hint that names the nearest known word, else ``otherwise``."""
    found = nearest(word, known)
    return f'did you mean "{found}"?' if found else otherwise

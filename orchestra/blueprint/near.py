"""What could have been meant: the nearest of the known words to one that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that resembles ``word`` most, upper and lower case taken as one; None where none does."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    found = get_close_matches(word.casefold()[:200], by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str | None = None) -> str | None:
    """A hint that names the nearest known word, else ``otherwise``."""
    found = nearest(word, known)
    return f'did you mean "{found}"?' if found else otherwise

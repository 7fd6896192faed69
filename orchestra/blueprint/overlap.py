"""Whether two scopes share a path, decided exactly, with a shortest path that both hold.

Each scope becomes a nondeterministic automaton over bytes (include and not exclude); the product of two is searched
breadth first, its subsets made as they are met. Invariant: exact over all paths that git can track and that hold no
``*`` or ``?`` (no file system of Windows can, no repository does; with them, ``src/*`` and ``src/*/**`` would
"overlap" in a folder called ``*``). Refuses to search on for ever: OverlapUndecided after 100,000 states.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from orchestra.blueprint.model import Scope
from orchestra.blueprint.scope import Mask, Token, Wild, parse_pattern

_MOST_STATES: Final = 100_000
_ALL: Final = ((1 << 256) - 1) & ~1 & ~(1 << ord("*")) & ~(1 << ord("?"))
_SLASH: Final = 1 << ord("/")
_DOT: Final = 1 << ord(".")
_PREFERRED: Final = b"xabcdefghijklmnopqrstuvwyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-. "

# Where a path's last part stands, for no part of a path that git tracks is empty, "." or "..".
_EMPTY, _ONE_DOT, _TWO_DOTS, _NAMED, _NEVER = range(5)


class OverlapUndecided(ValueError):  # noqa: N818
    """The patterns are too entangled to decide within bounds; treat the scopes as overlapping."""


def overlap(first: Scope, second: Scope) -> str | None:
    """A shortest path in both scopes; None where there is none. Raises OverlapUndecided, BadPattern."""
    return Overlaps([first, second]).witness(0, 1)


class Overlaps:
    """Decides pairs among many scopes; what was worked out for one pair serves the next."""

    def __init__(self, scopes: Sequence[Scope]) -> None:
        machines = [_Machine(scope) for scope in scopes]
        self._classes = _partition(mask for machine in machines for mask in machine.masks)
        self._steps = [_part_steps(self._classes, state) for state in range(_NEVER)]
        for machine in machines:
            machine.classes = self._classes
        self._machines = machines

    def witness(self, first: int, second: int) -> str | None:
        """As ``overlap``, for the scopes with these indices."""
        one, two = self._machines[first], self._machines[second]
        start = (one.start, two.start, _EMPTY)
        came: dict[tuple[int, int, int], tuple[tuple[int, int, int], int] | None] = {start: None}
        queue = deque([start])
        while queue:
            state = queue.popleft()
            for number, following in self._following(one, two, state):
                if following in came:
                    continue
                came[following] = (state, number)
                if following[2] == _NAMED and one.accepts(following[0]) and two.accepts(following[1]):
                    return self._spell(came, following)
                queue.append(following)
            if len(came) > _MOST_STATES:
                raise OverlapUndecided("the patterns are too entangled to compare")
        return None

    def _following(
        self, one: _Machine, two: _Machine, state: tuple[int, int, int]
    ) -> list[tuple[int, tuple[int, int, int]]]:
        left, right, part = one.live(state[0]), two.live(state[1]), self._steps[state[2]]
        if len(left) > len(right):
            return [(n, (left[n], after, part[n])) for n, after in right.items() if n in left and part[n] != _NEVER]
        return [(n, (after, right[n], part[n])) for n, after in left.items() if n in right and part[n] != _NEVER]

    def _spell(
        self,
        came: dict[tuple[int, int, int], tuple[tuple[int, int, int], int] | None],
        state: tuple[int, int, int],
    ) -> str:
        spelled = bytearray()
        step = came[state]
        while step is not None:
            spelled.append(_representative(self._classes[step[1]]))
            step = came[step[0]]
        return bytes(reversed(spelled)).decode("utf-8", "surrogateescape")


class _Machine:
    """One scope: a set of NFA positions is an int, bit n standing for position n.

    Position p of a pattern's tokens is before token p; a pattern of n tokens has two more positions than tokens: n
    (all matched) and n + 1 (matched, and all below matches too). ``**/`` uses one more, inside a folder.
    """

    def __init__(self, scope: Scope) -> None:
        self.classes: list[Mask] = []
        self.masks: set[Mask] = set()
        self.start = 0
        self._moves: list[list[tuple[Mask, int]]] = []  # by position: on a byte of the mask, to these positions
        self._accepting = self._excluding = self._settled = self._included = 0
        for pattern in scope.include:
            for tokens in parse_pattern(pattern).alternatives:
                self._add(tokens, included=True)
        for pattern in scope.exclude:
            for tokens in parse_pattern(pattern).alternatives:
                self._add(tokens, included=False)
        self._live: dict[int, dict[int, int]] = {}

    def accepts(self, state: int) -> bool:
        return bool(state & self._accepting) and not state & self._excluding

    def live(self, state: int) -> dict[int, int]:
        """The positions after each class of bytes, for those classes after which the scope can still be met."""
        found = self._live.get(state)
        if found is None:
            found = self._live[state] = self._stepped(state)
        return found

    def _stepped(self, state: int) -> dict[int, int]:
        moves = [move for position in _bits(state) for move in self._moves[position]]
        after: dict[int, int] = {}
        for number, mask in enumerate(self.classes):
            positions = 0
            for on, to in moves:
                if mask & on:
                    positions |= to
            if positions & self._included and not positions & self._settled:
                after[number] = positions
        return after

    def _add(self, tokens: Sequence[Token], *, included: bool) -> None:
        base = len(self._moves)
        size = len(tokens) + 2
        inner = {}  # positions inside a folder that **/ passes over
        for index, token in enumerate(tokens):
            if token is Wild.FOLDERS:
                inner[index] = base + size + len(inner)
        entered = [self._entered(tokens, index, base) for index in range(len(tokens) + 1)]
        everything = 1 << (base + len(tokens) + 1)
        for index, token in enumerate(tokens):
            self._moves.append(self._of_token(token, base + index, entered, index, inner, everything))
        self._moves += [[], [(_ALL, everything)]]
        self._moves += [[(_ALL & ~_SLASH, 1 << at), (_SLASH, entered[index])] for index, at in inner.items()]
        self._register(tokens, base, len(self._moves), entered[0], everything, included)

    def _register(
        self, tokens: Sequence[Token], base: int, end: int, start: int, everything: int, included: bool
    ) -> None:
        done = everything | 1 << (base + len(tokens))
        if tokens[-1] is Wild.SELF_OR_BELOW:
            done |= 1 << (base + len(tokens) - 1)
        self.start |= start
        self.masks.update(token & _ALL for token in tokens if isinstance(token, int))
        if included:
            self._accepting |= done
            self._included |= ((1 << end) - 1) & ~((1 << base) - 1)
        else:
            self._excluding |= done
            self._settled |= everything

    def _of_token(
        self, token: Token, at: int, entered: list[int], index: int, inner: dict[int, int], everything: int
    ) -> list[tuple[Mask, int]]:
        if token is Wild.STAR:
            return [(_ALL & ~_SLASH, entered[index])]
        if token is Wild.FOLDERS:
            return [(_ALL & ~_SLASH, 1 << inner[index])]
        if token is Wild.BELOW:
            return [(_ALL, everything)]
        if token is Wild.SELF_OR_BELOW:
            return [(_SLASH, everything)]
        return [(token & _ALL, entered[index + 1])]

    @staticmethod
    def _entered(tokens: Sequence[Token], index: int, base: int) -> int:
        """Position ``index`` and those that follow without a byte, wildcards matching nothing."""
        positions = 1 << (base + index)
        while index < len(tokens) and tokens[index] in (Wild.STAR, Wild.FOLDERS):
            index += 1
            positions |= 1 << (base + index)
        return positions


def _bits(number: int) -> list[int]:
    found = []
    while number:
        low = number & -number
        found.append(low.bit_length() - 1)
        number ^= low
    return found


def _partition(masks: object) -> list[Mask]:
    """The bytes, in classes that no pattern tells apart; those with the nicest representative first."""
    classes = [_ALL]
    for mask in {_SLASH, _DOT, *masks}:  # type: ignore[misc]
        classes = [part for one in classes for part in (one & mask, one & ~mask) if part]
    return sorted(classes, key=lambda mask: _rank(_representative(mask)))


def _representative(mask: Mask) -> int:
    for byte in _PREFERRED:
        if mask >> byte & 1:
            return byte
    return (mask & -mask).bit_length() - 1


def _rank(byte: int) -> int:
    return _PREFERRED.index(byte) if byte in _PREFERRED else 1000 + byte


def _part_steps(classes: Sequence[Mask], state: int) -> list[int]:
    """By class: where a path's last part stands after it."""
    after_dot = {_EMPTY: _ONE_DOT, _ONE_DOT: _TWO_DOTS}.get(state, _NAMED)
    after_slash = _EMPTY if state == _NAMED else _NEVER
    return [after_slash if mask & _SLASH else after_dot if mask & _DOT else _NAMED for mask in classes]

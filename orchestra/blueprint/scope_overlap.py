"""Decide exactly whether two scopes share a path, and find a shortest path that is in both.

Each scope becomes a nondeterministic automaton over bytes (include and not exclude); the product of two is searched,
shortest first (A*), with subsets built when reached. The result is exact over all paths that git can track and that
contain no ``*`` or ``?`` (no file system of Windows can, no repository does; with them, ``src/*`` and ``src/*/**``
would "overlap" in a folder called ``*``). Raises OverlapUndecided after 30,000 states.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

from orchestra.blueprint.model import Scope
from orchestra.blueprint.scope import Mask, Token, Wild, parse_pattern

_MOST_STATES: Final = 30_000
_ALL: Final = ((1 << 256) - 1) & ~1 & ~(1 << ord("*")) & ~(1 << ord("?"))
_SLASH: Final = 1 << ord("/")
_DOT: Final = 1 << ord(".")
_PREFERRED: Final = b"xabcdefghijklmnopqrstuvwyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-. "

_State = tuple[int, int, int]  # of the two scopes, and where the path's last part stands
# How each state was reached: bytes so far, from which state, by which class.
_Trail = dict[_State, tuple[int, _State | None, int]]
_Moves = tuple[tuple[int, int], ...]  # on the classes of a set (bit n: class n), to a state

# Where a path's last part stands, for no part of a path that git tracks is empty, "." or "..".
_EMPTY, _ONE_DOT, _TWO_DOTS, _NAMED = range(4)


class OverlapUndecided(ValueError):  # noqa: N818
    """The patterns are too complex to decide within bounds; treat the scopes as overlapping."""


def overlap(first: Scope, second: Scope) -> str | None:
    """Return a shortest path in both scopes; None where there is none. Raises OverlapUndecided, BadPattern."""
    return Overlaps([first, second]).witness(0, 1)


class Overlaps:
    """Decides pairs among many scopes; results of one pair are reused for the next."""

    def __init__(self, scopes: Sequence[Scope]) -> None:
        machines = [_Machine(scope) for scope in scopes]
        self._classes = _partition(mask for machine in machines for mask in machine.masks)
        self._steps = [_part_steps(self._classes, state) for state in range(4)]
        for machine in machines:
            machine.classes = self._classes
        self._machines = machines

    def witness(self, first: int, second: int) -> str | None:
        """Return a shortest common path of the scopes with these indices, as ``overlap`` does."""
        machine, second_machine = self._machines[first], self._machines[second]
        start = (machine.start, second_machine.start, _EMPTY)
        trail: _Trail = {start: (0, None, 0)}
        waiting = [(0, 0, 0, start)]
        while waiting:
            _, behind, _, state = heappop(waiting)
            length = -behind
            if state[2] == _NAMED and machine.accepts(state[0]) and second_machine.accepts(state[1]):
                return self._spell(trail, state)
            if length > trail[state][0]:
                continue
            for following, number in self._following(machine, second_machine, state):
                recorded = trail.get(following)
                if recorded is None or length + 1 < recorded[0]:
                    trail[following] = (length + 1, state, number)
                    needed = max(machine.needed(following[0]), second_machine.needed(following[1]))
                    heappush(waiting, (length + 1 + needed, -length - 1, len(trail), following))
            if len(trail) > _MOST_STATES:
                raise OverlapUndecided("the patterns are too complex to compare")
        return None

    def _following(self, first: _Machine, second: _Machine, state: _State) -> Iterator[tuple[_State, int]]:
        """Yield each state one byte further, with the number of the most readable class of bytes that leads there."""
        part = self._steps[state[2]]
        for on_left, first_state in first.live(state[0]):
            for on_right, second_state in second.live(state[1]):
                both = on_left & on_right
                if both:
                    for on_part, after in part:
                        classes = both & on_part
                        if classes:
                            yield (first_state, second_state, after), (classes & -classes).bit_length() - 1

    def _spell(self, trail: _Trail, state: _State) -> str:
        spelled = bytearray()
        _, before, number = trail[state]
        while before is not None:
            spelled.append(_representative(self._classes[number]))
            _, before, number = trail[before]
        return bytes(reversed(spelled)).decode("utf-8", "surrogateescape")


class _Machine:
    """One scope as an automaton: a state is a set of positions, an int in which bit n stands for position n."""

    def __init__(self, scope: Scope) -> None:
        self.classes: list[Mask] = []
        self.masks: set[Mask] = set()
        self.start = 0
        self._moves: list[tuple[Mask, int]] = []  # by position: on a byte of the mask, to these positions
        self._needs: list[int] = []  # by position: the fewest bytes that complete its pattern
        self._accepting = self._excluding = 0
        self._alive = 0  # positions of include patterns: without one of them nothing can match
        self._settled = 0  # positions from which everything is excluded
        self._live: dict[int, _Moves] = {}
        self._needed: dict[int, int] = {}
        for pattern in scope.include:
            for tokens in parse_pattern(pattern).alternatives:
                added = self._add(tokens)
                self._accepting |= added.accepting
                self._alive |= added.positions
        for pattern in scope.exclude:
            for tokens in parse_pattern(pattern).alternatives:
                added = self._add(tokens)
                self._excluding |= added.accepting
                self._settled |= added.everything

    def accepts(self, state: int) -> bool:
        return bool(state & self._accepting) and not state & self._excluding

    def needed(self, state: int) -> int:
        """Return the fewest bytes that can complete an include pattern, as a lower bound."""
        fewest = self._needed.get(state)
        if fewest is None:
            fewest = self._needed[state] = min(
                (self._needs[position] for position in _bits(state & self._alive)), default=0
            )
        return fewest

    def live(self, state: int) -> _Moves:
        """Return the state after each class of bytes, for those classes after which the scope can still match."""
        if state in self._live:
            return self._live[state]
        moves = [self._moves[position] for position in _bits(state)]
        after: dict[int, int] = {}
        for number, mask in enumerate(self.classes):
            positions = 0
            for on, to in moves:
                if mask & on:
                    positions |= to
            if positions & self._alive and not positions & self._settled:
                after[positions] = after.get(positions, 0) | 1 << number
        self._live[state] = tuple((classes, positions) for positions, classes in after.items())
        return self._live[state]

    def _add(self, tokens: Sequence[Token]) -> _Fragment:
        fragment = _fragment(tokens, len(self._moves))
        self._moves.extend(fragment.moves)
        self._needs.extend(fragment.needs)
        self.start |= fragment.start
        self.masks.update(token & _ALL for token in tokens if isinstance(token, int))
        return fragment


@dataclass(frozen=True, slots=True)
class _Fragment:
    """One pattern's part of an automaton."""

    moves: list[tuple[Mask, int]]
    needs: list[int]
    start: int
    accepting: int  # positions where the path so far matches
    everything: int  # the position where it matches whatever follows
    positions: int


def _fragment(tokens: Sequence[Token], base: int) -> _Fragment:
    """Return one pattern as a part of an automaton.

    Position ``base + n`` is before token n; then come "all matched", "all below matches too", and two positions for
    each ``**/``, inside a folder that it passes over: for its name and for the slash that ends it.
    """
    size = len(tokens)
    everything = 1 << (base + size + 1)
    entered = [_entered(tokens, index, base) for index in range(size + 1)]
    moves: list[tuple[Mask, int]] = []
    inside: list[tuple[Mask, int]] = []
    for index, token in enumerate(tokens):
        if token is Wild.FOLDERS:
            inside_folder = 0b11 << (base + size + 2 + len(inside))
            inside += [(_ALL & ~_SLASH, inside_folder), (_SLASH, entered[index])]
            moves.append((_ALL & ~_SLASH, inside_folder))
        elif token is Wild.STAR:
            moves.append((_ALL & ~_SLASH, entered[index]))
        elif isinstance(token, Wild):
            moves.append((_ALL if token is Wild.BELOW else _SLASH, everything))
        else:
            moves.append((token & _ALL, entered[index + 1]))
    moves += [(0, 0), (_ALL, everything), *inside]
    fewest_bytes = [isinstance(token, int) or token is Wild.BELOW for token in tokens]
    needs = [sum(fewest_bytes[index:]) for index in range(size + 2)]
    needs += [needs[index] for index, token in enumerate(tokens) if token is Wild.FOLDERS for _ in range(2)]
    plain = 1 << (base + size - 1) if tokens[-1] is Wild.SELF_OR_BELOW else 0
    accepting = everything | 1 << (base + size) | plain
    return _Fragment(moves, needs, entered[0], accepting, everything, (1 << (base + len(moves))) - (1 << base))


def _entered(tokens: Sequence[Token], index: int, base: int) -> int:
    """Return position ``index`` and those that follow it without a byte, wildcards matching nothing."""
    positions = 1 << (base + index)
    while index < len(tokens) and tokens[index] in (Wild.STAR, Wild.FOLDERS):
        index += 1
        positions |= 1 << (base + index)
    return positions


def _bits(number: int) -> list[int]:
    positions = []
    while number:
        low = number & -number
        positions.append(low.bit_length() - 1)
        number ^= low
    return positions


def _partition(masks: Iterable[Mask]) -> list[Mask]:
    """Return the bytes, in classes that no pattern distinguishes; those with the most readable representative first."""
    classes = [_ALL]
    for mask in {_SLASH, _DOT, *masks}:
        classes = [part for part_class in classes for part in (part_class & mask, part_class & ~mask) if part]
    rank = {byte: number for number, byte in enumerate(_PREFERRED)}
    return sorted(classes, key=lambda mask: rank.get(_representative(mask), 1000 + _representative(mask)))


def _representative(mask: Mask) -> int:
    for byte in _PREFERRED:
        if mask >> byte & 1:
            return byte
    return (mask & -mask).bit_length() - 1


def _part_steps(classes: Sequence[Mask], state: int) -> _Moves:
    """Return the state of a path's last part after a byte of each class that a path may continue with."""
    after_dot = {_EMPTY: _ONE_DOT, _ONE_DOT: _TWO_DOTS}.get(state, _NAMED)
    steps: dict[int, int] = {}
    for number, mask in enumerate(classes):
        after = _EMPTY if mask & _SLASH else after_dot if mask & _DOT else _NAMED
        if after != _EMPTY or state == _NAMED:
            steps[after] = steps.get(after, 0) | 1 << number
    return tuple((on, after) for after, on in steps.items())

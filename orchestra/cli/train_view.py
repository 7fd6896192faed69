"""The live view of a train as lines: who rides and where each stands, what is tested, how long it may take.

Invariant: ``render`` is pure, never gives more lines than ``height`` nor a line of more cells than ``width``, and lets
no text of an agent through unescaped. What does not fit is summarised, the counts last. Refuses: a terminal; ``block``
has one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestra.cli.console import Cell, Tone
from orchestra.cli.train_state import Phase, Run, TrainState
from orchestra.text import terminal_safe
from orchestra.train.eta import format_remaining, round_estimate

Line = tuple[Cell, ...]

_MOST_ORDER_ROWS = 4
_SHORT_NAME = 16  # cells of a name where whole names do not fit
_LEAST_WHAT = 18  # cells that a candidate's agents get before its other columns do
_ROOMY = 4  # lines from which one is kept for the order, however many candidates there are
_TALL = 8  # lines from which one is spent on a rule above the block
_GAP = "  "


@dataclass(frozen=True, slots=True)
class Marks:
    """One cell each: where an agent stands."""

    landed: str = "✓"
    evicted: str = "✗"
    blocked: str = "⊘"
    waiting: str = "?"
    testing: str = "▸"
    open: str = "·"
    cut: str = "…"
    rule: str = "─"


UNICODE = Marks()
ASCII = Marks(landed="+", evicted="x", blocked="-", testing=">", open=".", cut="~", rule="-")

_TONES = {
    "landed": Tone.GOOD,
    "evicted": Tone.BAD,
    "blocked": Tone.WAITING,
    "waiting": Tone.WAITING,
    "testing": Tone.PLAIN,
    "open": Tone.QUIET,
}
_WORDS = {"testing": "in test", "open": "to go"}


def render(state: TrainState, width: int, height: int, now: float, marks: Marks = UNICODE) -> tuple[Line, ...]:
    """At most ``height`` lines of at most ``width`` cells. ``now``: POSIX seconds, as the events' ``at``."""
    if width < 1 or height < 1 or state.finished:
        return ()
    foot = _foot(state, width, now, marks)
    if state.started_at is None or height == 1:
        return (foot if state.started_at is None else _counts(state, width, marks),)
    head = [_counts(state, width, marks)]
    if height >= _TALL:
        head.insert(0, (Cell(marks.rule * width, Tone.QUIET),))
    room = height - len(head) - 1
    tests = _tests(state, width, room - (room >= _ROOMY), now, marks)
    order = _order(state, width, min(_MOST_ORDER_ROWS, room - len(tests)), marks)
    return (*head, *order, *tests, foot)


# -- how many stand where -----------------------------------------------------------------------------------------


def _standing(state: TrainState, name: str) -> str:
    """``landed``, ``evicted``, ``blocked``, ``waiting``, ``testing`` or ``open``."""
    fate = state.fates.get(name)
    if fate is not None:
        return fate.kind
    return "testing" if name in state.testing else "open"


def _counts(state: TrainState, width: int, marks: Marks) -> Line:
    """Return the first line, which also explains the marks."""
    names = dict.fromkeys((*state.order, *state.fates))
    counts = Counter(_standing(state, name) for name in names)
    kinds = [kind for kind in _TONES if counts[kind]]
    words = {"landed": "would land"} if state.rehearsed else {}
    target = _plain(state.target)
    long = [Cell(f"{_mark(marks, k)} {counts[k]} {words.get(k) or _WORDS.get(k, k)}", _TONES[k]) for k in kinds]
    short = [Cell(f"{_mark(marks, kind)}{counts[kind]}", _TONES[kind]) for kind in kinds]
    for cells, gap in ((long, _GAP), (short, " ")):
        room = width - _wide(gap.join(("", *(cell.text for cell in cells))))
        if room >= min(_wide(target), _SHORT_NAME):
            return _spaced((Cell(_cut(target, room, marks)), *cells), gap)
    return _fitted(_spaced(short, " "), width, marks)


# -- the order ----------------------------------------------------------------------------------------------------


def _order(state: TrainState, width: int, rows: int, marks: Marks) -> Sequence[Line]:
    """Return the agents in landing order, in as much detail as fits ``rows`` lines."""
    if rows < 1 or not state.order:
        return ()
    for entries in _details(state, marks):
        lines = _flow(entries, width, marks)
        if len(lines) <= rows:
            return lines
    return ()


def _details(state: TrainState, marks: Marks) -> Iterable[Sequence[Cell]]:
    """The order in less and less detail: whole names, short names, only who is undecided, of those the first."""
    standing = [(name, _standing(state, name)) for name in state.order]
    for most in (10_000, _SHORT_NAME):
        yield [_entry(name, kind, most, marks) for name, kind in standing]
    undecided = [(name, kind) for name, kind in standing if name not in state.fates]
    for shown in range(len(undecided), -1, -1):
        omitted = len(undecided) - shown
        tail = [Cell(f"{marks.cut} {omitted} more", Tone.QUIET)] if omitted else []
        yield [*(_entry(name, kind, _SHORT_NAME, marks) for name, kind in undecided[:shown]), *tail]


def _entry(name: str, kind: str, most: int, marks: Marks) -> Cell:
    return Cell(f"{_mark(marks, kind)} {_cut(_plain(name), most, marks)}", _TONES[kind])


def _flow(entries: Sequence[Cell], width: int, marks: Marks) -> Sequence[Line]:
    """Entries side by side, as many as fit on each line."""
    rows: list[list[Cell]] = []
    used = 0
    for entry in (Cell(_cut(cell.text, width, marks), cell.tone) for cell in entries):
        size = _wide(entry.text)
        if rows and used + len(_GAP) + size <= width:
            rows[-1].append(entry)
            used += len(_GAP) + size
        else:
            rows.append([entry])
            used = size
    return [_spaced(row, _GAP) for row in rows]


# -- what is tested -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    """One candidate, as columns."""

    slot: str
    labels: tuple[str, ...]  # from the longest to the shortest
    gate: str
    spent: str
    usual: str
    tone: Tone


def _tests(state: TrainState, width: int, most: int, now: float, marks: Marks) -> Sequence[Line]:
    """A line for each candidate, slots in order; what happens instead where nothing is tested."""
    if most < 1:
        return ()
    runs = sorted(state.runs.values(), key=lambda run: (run.slot is None, run.slot or 0, run.number))
    if not runs:
        return [_fitted((Cell(_plain(state.doing), Tone.QUIET),), width, marks)]
    shown = runs if len(runs) <= most else runs[: most - 1]
    lines = _columns([_row(state, run, now) for run in shown], width, marks) if shown else []
    if len(shown) < len(runs):
        omitted_runs = f"{marks.cut} {len(runs) - len(shown)} more in test"
        lines.append(_fitted((Cell(omitted_runs, Tone.QUIET),), width, marks))
    return lines


def _row(state: TrainState, run: Run, now: float) -> _Row:
    slot = "" if run.slot is None else str(run.slot)
    gate = run.phase.value
    if run.phase is Phase.GATE:
        gate = _plain(run.gate) + (f" {run.step}/{run.steps}" if run.steps > 1 else "")
    spent = max(0.0, now - run.since)
    usual = run.expected_s if run.phase is Phase.GATE else None
    late = usual is not None and spent > 2 * usual + 5
    usual_text = "" if usual is None else f" of ~{_clock(round_estimate(usual))}"
    return _Row(slot, _what(state, run), gate, _clock(spent), usual_text, Tone.WAITING if late else Tone.PLAIN)


def _what(state: TrainState, run: Run) -> tuple[str, ...]:
    """Return labels for a candidate's agents, from all names over first..last to the number."""
    names, target = [_plain(name) for name in state.aboard(run)], _plain(state.target)
    if run.explains:
        return (f"why {names[0]} fails" if names else "why it fails",)
    if not names:
        return (f"{target} alone",)
    every = ", ".join(names)
    if len(names) == 1:
        return (f"{target} + {every}", f"+ {every}")
    some = f"{names[0]}..{names[-1]} ({len(names)})"
    return (f"{target} + {every}", f"+ {every}", f"{target} + {some}", f"+ {some}", f"+ {len(names)} agents")


def _columns(rows: Sequence[_Row], width: int, marks: Marks) -> list[Line]:
    """Aligned; where it is narrow, first the usual time goes, then the gate's name is cut, last it goes as well."""
    gates, spent = max(_wide(row.gate) for row in rows), max(len(row.spent) for row in rows)
    usual = max(len(row.usual) for row in rows)
    slots = max(len(row.slot) for row in rows)
    for label, gate, usual_width in (
        ("slot ", gates, usual),
        ("", gates, usual),
        ("", gates, 0),
        ("", min(gates, 10), 0),
    ):
        slot_width = len(label) + slots + len(_GAP)
        right = len(_GAP) + gate + len(_GAP) + spent + usual_width
        if width - slot_width - right >= _LEAST_WHAT:
            break
    else:
        slot_width, right, gate, spent, usual_width, label = slots + 1 if slots else 0, 0, 0, 0, 0, ""
    room = max(1, width - slot_width - right)
    label_width = min(room, max(_wide(_shortest(row.labels, room, marks)) for row in rows))
    return [
        _fitted(_line(row, (label, slot_width, label_width, gate, spent, usual_width), marks), width, marks)
        for row in rows
    ]


def _line(row: _Row, sizes: tuple[str, int, int, int, int, int], marks: Marks) -> Line:
    label, slot_width, label_width, gate, spent, usual_width = sizes
    slot = _padded(f"{label}{row.slot}" if row.slot else "", slot_width)
    held = _padded(_shortest(row.labels, label_width, marks), label_width)
    doing = _GAP + _padded(_cut(row.gate, gate, marks), gate) + _GAP if gate else ""
    time = (row.spent.rjust(spent) if spent else "") + (row.usual if usual_width else "")
    return (Cell(slot, Tone.QUIET), Cell(held), Cell(doing), Cell(time, row.tone))


def _shortest(variants: Sequence[str], room: int, marks: Marks) -> str:
    """The most words that fit; the fewest, cut, when none do."""
    return next((text for text in variants if _wide(text) <= room), _cut(variants[-1], room, marks))


# -- the last line ------------------------------------------------------------------------------------------------


def _foot(state: TrainState, width: int, now: float, marks: Marks) -> Line:
    """Return progress, time and how to stop; less of it where it is narrow."""
    if state.interrupted:
        words = [f"interrupted: stopping tests{marks.cut}"]
    elif state.started_at is None:
        words = [_plain(state.doing)]
    else:
        finished_runs = state.runs_done
        words = [
            f"{finished_runs} run{'s' * (finished_runs != 1)} done",
            f"{_clock(max(0.0, now - state.started_at))} so far",
        ]
        if state.eta is not None:
            at, seconds = state.eta
            still = seconds - (now - at)
            words.insert(0, format_remaining(still) if still > 0 else "")
        words.append("Ctrl-C stops; the same command continues")
    variants = [word for word in words if word]
    while len(variants) > 1 and _wide(", ".join(variants)) > width:
        variants.pop()
    return _fitted((Cell(", ".join(variants), Tone.QUIET),), width, marks)


def _clock(seconds: float) -> str:
    """``0:07``, ``12:30``, ``1:02:03``."""
    whole = int(seconds)
    minutes = f"{whole // 60 % 60}:{whole % 60:02}"
    return minutes if whole < 3600 else f"{whole // 3600}:{minutes.zfill(5)}"  # noqa: PLR2004 - an hour


# -- cells --------------------------------------------------------------------------------------------------------


def _mark(marks: Marks, kind: str) -> str:
    return str(getattr(marks, kind))


def _plain(text: str) -> str:
    """One line, nothing that a terminal obeys, nothing that cannot be encoded."""
    shown = terminal_safe(text).replace("\n", " ").replace("\t", " ")
    return shown.encode("utf-8", "backslashreplace").decode("utf-8")


def _wide(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _padded(text: str, width: int) -> str:
    return text + " " * max(0, width - _wide(text))


def _cut(text: str, width: int, marks: Marks) -> str:
    """At most ``width`` cells, with a mark where something is missing."""
    from rich.cells import set_cell_size

    if _wide(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + marks.cut if width > 0 else ""


def _spaced(cells: Sequence[Cell], gap: str) -> Line:
    parts = [part for cell in cells for part in (Cell(gap), cell)]
    return tuple(parts[1:])


def _fitted(line: Iterable[Cell], width: int, marks: Marks) -> Line:
    """The line, cut where it would be too wide."""
    cells_shown: list[Cell] = []
    room = width
    for cell in line:
        text = _cut(cell.text, room, marks)
        cells_shown.append(Cell(text, cell.tone))
        room -= _wide(text)
        if text != cell.text:
            break
    return tuple(cells_shown)

"""Whatever is in a blueprint, it loads or is refused at a place: never a traceback, never a hang."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orchestra.blueprint.catalog import shipped_blueprints
from orchestra.blueprint.load import load_blueprint, resolved
from orchestra.errors import BlueprintError
from tests.blueprint.test_load import WHOLE
from tests.blueprint.test_profiles import SERVICE

PROFILED = f"version: 1\nname: f\nstages: [services]\n{SERVICE}agents:\n" + "".join(
    f"  - {{name: n{number}, from: service, with: {{domain: d, turns: {number + 1}}}}}\n" for number in range(5)
)
SEEDS = {"whole": WHOLE, "profiled": PROFILED, "mvp5": (shipped_blueprints() / "mvp5.yaml").read_text(encoding="utf-8")}
NASTY = [
    *("\t", "\0", "{", "}", "[", "]", ":", ": ", "- ", "&a ", "*a", "!append ", "!x ", "|\n", ">-\n", "<<: ", "'", '"'),
    *("#", "?", "~", "null", "true", "1.10", "-1", "1e999", "9" * 50, "\ufeff", "\u2028", "é", "\U0001f600", "---\n"),
    *("{{ ", " }}", "{% if %}", "<<name>>", "<<x>>", "../", "/", "**", "[a-", "\\", "x" * 400, "\r\n", "extends: f\n"),
]


def judged(folder: Path, text: str) -> None:
    """Load the text; a refusal must say where, in a file that is there."""
    file = folder / "f.yaml"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        blueprint = load_blueprint(file)
    except BlueprintError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.file.exists() and problem.line >= 1 and problem.column >= 1
            assert problem.message.isprintable() and (problem.hint or "").isprintable()
    else:
        assert sorted(blueprint.merge_order) == sorted(agent.name for agent in blueprint.agents)
        declared = resolved(file).document["agents"]
        assert isinstance(declared, list)
        assert len(blueprint.agents) == len(declared)  # each declared agent, and no other


@pytest.mark.parametrize("seed", SEEDS)
def test_the_seeds_are_valid(tmp_path: Path, seed: str) -> None:
    (tmp_path / "f.yaml").write_text(SEEDS[seed], encoding="utf-8")
    load_blueprint(tmp_path / "f.yaml")


@given(seed=st.sampled_from(list(SEEDS)), chance=st.randoms(use_true_random=False), times=st.integers(1, 4))
def test_texts_that_were_cut_and_stitched(tmp_path: Path, seed: str, chance: random.Random, times: int) -> None:
    text = SEEDS[seed]
    for _ in range(times):
        at = chance.randrange(len(text))
        cut = chance.choice([0, 0, 1, 3, 30])
        text = text[:at] + chance.choice(["", *NASTY]) + text[at + cut :]
    judged(tmp_path, text)


@given(seed=st.sampled_from(list(SEEDS)), chance=st.randoms(use_true_random=False), times=st.integers(1, 3))
def test_lines_that_were_moved_and_indented(tmp_path: Path, seed: str, chance: random.Random, times: int) -> None:
    lines = SEEDS[seed].splitlines()
    for _ in range(times):
        one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        change = chance.randrange(4)
        if change == 0:
            lines[one], lines[other] = lines[other], lines[one]
        elif change == 1:
            lines.insert(one, lines[other])
        elif change == 2:
            del lines[one]
        else:
            lines[one] = " " * chance.randrange(5) + lines[one].lstrip()
    judged(tmp_path, "\n".join(lines) + "\n")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(NASTY)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def holders(value: Any) -> list[Any]:
    """Every list and map in the document."""
    if not isinstance(value, (dict, list)):
        return []
    inner = value.values() if isinstance(value, dict) else value
    return [value, *(found for one in inner for found in holders(one))]


@given(seed=st.sampled_from(list(SEEDS)), chance=st.randoms(use_true_random=False), value=VALUES)
def test_values_that_were_exchanged(tmp_path: Path, seed: str, chance: random.Random, value: Any) -> None:
    document = yaml.safe_load(SEEDS[seed])
    holder = chance.choice([one for one in holders(document) if one])
    place = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    if chance.random() < 0.8:
        holder[place] = value
    elif isinstance(holder, dict):
        holder[chance.choice(["nmae", "task", "run", "from", "x-y", ""])] = holder.pop(place)
    else:
        del holder[place]
    judged(tmp_path, yaml.safe_dump(document, sort_keys=False, allow_unicode=True))

"""What git says of a merge, as a value."""

from __future__ import annotations

from orchestra.blueprint.model import AgentName, FleetName
from orchestra.candidates.builder import Branch
from orchestra.candidates.conflict_forecast import forecast_conflicts, merge_pairs
from orchestra.git.git_process import Git
from orchestra.git.merge_tree import parse_merge
from orchestra.git.refs import CommitId
from tests.conftest import Checkout, MakeRepository


def split_folder(repository: Checkout) -> tuple[CommitId, CommitId]:
    """Return a commit that splits the folder ``x`` in two, and one that adds a file to it."""
    text = "".join(f"line {number}\n" for number in range(20))
    names = "abcd"
    start = repository.commit("start", {f"x/{name}": f"{name}\n{text}" for name in names})
    moved = {f"{'y' if name in 'ab' else 'z'}/{name}": f"{name}\n{text}" for name in names}
    split = repository.commit("split", {**{f"x/{name}": None for name in names}, **moved})
    repository.git("checkout", "--quiet", "-b", "other", start)
    return CommitId(split), CommitId(repository.commit("add", {"x/new": "new\n"}))


def test_a_conflict_of_folders_is_a_conflict_although_no_file_has_stages(make_repository: MakeRepository) -> None:
    """A forecast that looked at stages alone reported such a pair as free of conflicts."""
    repository = make_repository()
    split, addition = split_folder(repository)
    git = Git(repository.path)
    (merged,) = merge_pairs(git, [(split, addition)])
    assert merged is not None
    assert (merged.clean, merged.stages, merged.conflicted_paths) == (False, (), ("x",))
    base = CommitId(repository.git("merge-base", split, addition))
    tips = {"first": split, "second": addition}
    branches = [Branch(AgentName(name), FleetName("web"), base, tip, name) for name, tip in tips.items()]
    (conflict,) = forecast_conflicts(git, branches)
    assert conflict.paths == ("x",)


def test_a_merge_that_is_not_clean_always_has_a_path() -> None:
    merged = parse_merge(["1" * 40, "", "1", "x", "Auto-merging", "Auto-merging x"], clean=False)
    assert merged.conflicted_paths == (".",)
    assert parse_merge(["1" * 40, ""], clean=True).conflicted_paths == ()


def test_a_file_in_conflict_is_no_conflict_of_folders() -> None:
    stages = [f"100644 {'2' * 40} {number}\tx/f" for number in (1, 2, 3)]
    fields = ["1" * 40, *stages, "", "1", "x/f", "CONFLICT (contents)", "CONFLICT (content): Merge conflict in x/f"]
    merged = parse_merge(fields, clean=False)
    assert (merged.conflicted_paths, merged.conflicted_folders) == (("x/f",), ())

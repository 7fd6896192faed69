"""What a person resolved with real git is what comes back, and the repository's own git folder stays as it was."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from orchestra.blueprint.model import AgentName, FleetName
from orchestra.candidates.builder import Branch, CandidateBuilder, open_builder
from orchestra.candidates.resolution.proposal import Proposal, Proposer, Question, Side, Unresolved, resolved_by
from orchestra.candidates.resolution.rerere import recall
from orchestra.git.git_process import Git
from orchestra.git.objects import Objects
from orchestra.git.refs import CommitId
from tests.conftest import Checkout, Content, MakeRepository

BASE = "".join(f"line {n}\n" for n in range(1, 31))
OURS = BASE.replace("line 5\n", "line 5 of main\n").replace("line 20\n", "line 20 of main\n")
THEIRS = BASE.replace("line 5\n", "line 5 of the agent\n").replace("line 20\n", "line 20 of the agent\n")
BOTH = BASE.replace("line 5\n", "line 5 of both\n").replace("line 20\n", "line 20 of both\n")


def diverged(
    checkout: Checkout, base: Mapping[str, Content], ours: Mapping[str, Content], theirs: Mapping[str, Content]
) -> Branch:
    """``main`` and ``work`` both changed what ``base`` has."""
    start = checkout.commit("base", base)
    checkout.git("switch", "--quiet", "--create", "work")
    tip = checkout.commit("the agent's", theirs)
    checkout.git("switch", "--quiet", "main")
    checkout.commit("main's", ours)
    return Branch(AgentName("one"), FleetName("demo"), CommitId(start), CommitId(tip), "One")


def resolve_by_hand(checkout: Checkout, files: Mapping[str, Content], *command: str) -> None:
    """A person merges, resolves, lets git remember, and takes the merge back."""
    before = checkout.git("rev-parse", "HEAD")
    checkout.git("config", "rerere.enabled", "true")
    checkout.git(*(command or ("merge", "--quiet", "work")), ok=False)
    checkout.write(files)
    checkout.git("add", "--all")
    checkout.git(
        "-c", "core.editor=true", *(("rebase", "--continue") if "rebase" in command else ("commit", "-qm", "m"))
    )
    checkout.git("reset", "--quiet", "--hard", before)


def asked(checkout: Checkout, branch: Branch) -> Proposal | Unresolved:
    git, target = Git(checkout.path), CommitId(checkout.git("rev-parse", "main"))
    with ExitStack() as stack:

        def styled(style: str) -> CandidateBuilder:
            return stack.enter_context(open_builder(git, target, style=style))

        methods = [("rerere", lambda question: recall(git, question))]
        return Proposer(styled("merge"), styled, methods).propose(branch, "Merge main")


def content(checkout: Checkout, proposal: Proposal, path: str) -> bytes:
    with Objects(Git(checkout.path)) as objects:
        entry = objects.entry_at(proposal.commit.tree, os.fsencode(path))
        assert entry is not None
        return objects.blob(entry.id)


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file of a git folder but the objects -> content and time."""
    files = (file for file in folder.rglob("*") if file.is_file() and "objects" not in file.parts)
    return {str(file): (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


@pytest.mark.parametrize("style", ["merge", "diff3", "zdiff3"])
@pytest.mark.parametrize("command", [("merge", "--quiet", "work"), ("rebase", "work")], ids=["merge", "rebase"])
def test_it_is_what_a_person_resolved(make_repository: MakeRepository, style: str, command: tuple[str, ...]) -> None:
    checkout = make_repository()
    branch = diverged(checkout, {"f.txt": BASE}, {"f.txt": OURS}, {"f.txt": THEIRS})
    checkout.git("config", "merge.conflictStyle", style)
    resolve_by_hand(checkout, {"f.txt": BOTH}, *command)
    checkout.git("config", "--unset", "merge.conflictStyle")
    before = everything(checkout.path / ".git")
    found = asked(checkout, branch)
    assert isinstance(found, Proposal), found
    assert content(checkout, found, "f.txt") == BOTH.encode()
    assert resolved_by(found.commit) == {"f.txt": "rerere"}
    assert everything(checkout.path / ".git") == before


def test_nothing_remembered(make_repository: MakeRepository) -> None:
    checkout = make_repository()
    branch = diverged(checkout, {"f.txt": BASE}, {"f.txt": OURS}, {"f.txt": THEIRS})
    found = asked(checkout, branch)
    assert isinstance(found, Unresolved)
    assert "rerere leaves a conflict in f.txt" in found.sentence


def cases() -> dict[str, tuple[dict[str, Content], Callable[[str], Content], dict[str, str]]]:
    """What is special -> further files, how the text is written, configuration."""

    def crlf(text: str) -> Content:
        return text.replace("\n", "\r\n")

    def marked(text: str) -> Content:
        return f"how conflicts look:\n<<<<<<< HEAD\n>>>>>>> x\n{text}"

    return {
        "crlf in the repository": ({}, crlf, {}),
        "crlf in checkouts": ({".gitattributes": "*.txt text eol=crlf\n"}, crlf, {}),
        "autocrlf": ({".gitattributes": "*.txt text\n"}, crlf, {"core.autocrlf": "true"}),
        "autocrlf input": ({".gitattributes": "*.txt text=auto\n"}, str, {"core.autocrlf": "input"}),
        "long markers": ({".gitattributes": "*.txt conflict-marker-size=20\n"}, str, {}),
        "markers in the text": ({".gitattributes": "*.txt conflict-marker-size=20\n"}, marked, {}),
        "latin-1": ({}, lambda text: text.encode() + b"\xe9t\xe9\n", {}),
        "no newline at the end": ({}, lambda text: text.rstrip("\n"), {}),
    }


@pytest.mark.parametrize("case", cases())
def test_line_ends_markers_and_bytes(make_repository: MakeRepository, case: str) -> None:
    more, write, config = cases()[case]
    checkout = make_repository()
    for key, value in config.items():
        checkout.git("config", key, value)
    branch = diverged(checkout, {"f.txt": write(BASE), **more}, {"f.txt": write(OURS)}, {"f.txt": write(THEIRS)})
    resolve_by_hand(checkout, {"f.txt": write(BOTH)})
    expected = checkout.git("rev-parse", "HEAD@{1}:f.txt")
    found = asked(checkout, branch)
    assert isinstance(found, Proposal), found
    with Objects(Git(checkout.path)) as objects:
        entry = objects.entry_at(found.commit.tree, b"f.txt")
    assert entry is not None
    assert entry.id == expected


def test_several_files_with_odd_names(make_repository: MakeRepository) -> None:
    names = ['quo"te', "new\nline", "tab\there", "-d", ":(top)x", "d i r/ü", ".hidden/*"]
    checkout = make_repository()
    texts = [dict.fromkeys(names, text) for text in (BASE, OURS, THEIRS, BOTH)]
    branch = diverged(checkout, *texts[:3])
    resolve_by_hand(checkout, texts[3])
    found = asked(checkout, branch)
    assert isinstance(found, Proposal), found
    assert {name: content(checkout, found, name) for name in names} == dict.fromkeys(names, BOTH.encode())


def test_the_same_conflict_in_two_files_and_one_resolved_otherwise(make_repository: MakeRepository) -> None:
    """Git keeps variants of a memory."""
    checkout = make_repository()
    texts = [{"a.txt": text, "b.txt": "b\n" + text} for text in (BASE, OURS, THEIRS)]
    branch = diverged(checkout, *texts)
    resolve_by_hand(checkout, {"a.txt": BOTH, "b.txt": "b\n" + OURS})
    found = asked(checkout, branch)
    assert isinstance(found, Proposal), found
    assert content(checkout, found, "a.txt") == BOTH.encode()


def test_a_memory_of_another_conflict_resolves_nothing(make_repository: MakeRepository) -> None:
    checkout = make_repository()
    branch = diverged(checkout, {"f.txt": BASE}, {"f.txt": OURS}, {"f.txt": THEIRS})
    resolve_by_hand(checkout, {"f.txt": BOTH})
    checkout.commit("main goes on", {"f.txt": OURS.replace("line 5 of main", "line 5 of main again")})
    assert isinstance(asked(checkout, branch), Unresolved)


def _spoil(entry: Path, how: str) -> None:
    for file in list(entry.iterdir()):
        if how == "garbage":
            file.write_bytes(os.urandom(4000))
        elif how == "empty":
            file.write_bytes(b"")
        elif how == "markers left in":
            file.write_bytes(b"<<<<<<<\na\n=======\nb\n>>>>>>>\n")
        elif how == "folders":
            file.unlink()
            file.mkdir()
        elif how == "links to nowhere":
            file.unlink()
            file.symlink_to("/nowhere")
        elif how == "too big":
            file.write_bytes(b"x" * (9 << 20))
        elif file.name == how.removeprefix("no "):
            file.unlink()


@pytest.mark.parametrize(
    "how",
    ["garbage", "empty", "markers left in", "folders", "links to nowhere", "too big", "no preimage", "no postimage"],
)
def test_a_spoilt_memory_is_none(make_repository: MakeRepository, how: str) -> None:
    checkout = make_repository()
    branch = diverged(checkout, {"f.txt": BASE}, {"f.txt": OURS}, {"f.txt": THEIRS})
    resolve_by_hand(checkout, {"f.txt": BOTH})
    (entry,) = (checkout.path / ".git/rr-cache").iterdir()
    _spoil(entry, how)
    before = everything(checkout.path / ".git")
    found = asked(checkout, branch)
    assert isinstance(found, Unresolved), found
    assert everything(checkout.path / ".git") == before


def test_a_memory_that_is_a_file(make_repository: MakeRepository) -> None:
    checkout = make_repository()
    branch = diverged(checkout, {"f.txt": BASE}, {"f.txt": OURS}, {"f.txt": THEIRS})
    (checkout.path / ".git/rr-cache").write_text("not a folder")
    assert isinstance(asked(checkout, branch), Unresolved)


def test_no_filter_of_the_users_is_run(make_repository: MakeRepository, tmp_path: Path) -> None:
    """A branch may name a filter in .gitattributes; the user's configuration says what that runs."""
    checkout = make_repository()
    branch = diverged(
        checkout, {"f.txt": BASE, ".gitattributes": "*.txt filter=loud\n"}, {"f.txt": OURS}, {"f.txt": THEIRS}
    )
    resolve_by_hand(checkout, {"f.txt": BOTH})
    for place in ("--local", "--global"):
        for kind in ("smudge", "clean"):
            checkout.git("config", place, f"filter.loud.{kind}", f"touch {tmp_path}/ran; cat")
    try:
        found = asked(checkout, branch)
    finally:
        checkout.git("config", "--global", "--remove-section", "filter.loud")
    assert isinstance(found, Proposal), found
    assert not (tmp_path / "ran").exists()


def test_names_that_lead_out_of_the_folder(make_repository: MakeRepository) -> None:
    """No git writes such a tree by itself, but an agent can; git's own index refuses the name."""
    checkout = make_repository()
    (checkout.path / ".git/rr-cache").mkdir()
    git = Git(checkout.path)
    with Objects(git) as objects:
        side = tuple(Side("100644", objects.write_blob(text.encode()), text.encode()) for text in (BASE, OURS, THEIRS))
        evil = "../../escaped"
        attributes = objects.commit(CommitId(checkout.git("rev-parse", "main"))).tree
    question = Question({evil: (side[0], side[1], side[2])}, attributes, lambda _: {evil: b"<<<<<<< x\n"})
    assert recall(git, question) == {}
    assert not (Path(tempfile.gettempdir()) / "escaped").exists()


def test_in_a_sha256_repository_too(tmp_path: Path) -> None:
    path = tmp_path / "sha256"
    path.mkdir()
    checkout = Checkout(path)
    checkout.git("init", "--quiet", "--object-format=sha256", "--initial-branch=main")
    branch = diverged(checkout, {"f.txt": BASE}, {"f.txt": OURS}, {"f.txt": THEIRS})
    resolve_by_hand(checkout, {"f.txt": BOTH})
    found = asked(checkout, branch)
    assert isinstance(found, Proposal), found
    assert content(checkout, found, "f.txt") == BOTH.encode()


def test_asked_from_a_linked_worktree(make_repository: MakeRepository, tmp_path: Path) -> None:
    """The memory is shared by all worktrees."""
    checkout = make_repository()
    branch = diverged(checkout, {"f.txt": BASE}, {"f.txt": OURS}, {"f.txt": THEIRS})
    resolve_by_hand(checkout, {"f.txt": BOTH})
    checkout.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    assert isinstance(asked(Checkout(tmp_path / "linked"), branch), Proposal)

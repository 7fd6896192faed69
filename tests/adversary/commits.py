"""Commits and trees that git itself would not make, and objects that are missing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from functools import partial

from tests.adversary.acts import find_object
from tests.adversary.play import Phase, Situation
from tests.adversary.world import World


def _tree(world: World) -> bytes:
    argv = ["git", "-C", str(world.repository), "cat-file", "tree", "main^{tree}"]
    return subprocess.run(argv, capture_output=True, check=True).stdout


def _entry(world: World, mode: str, name: bytes) -> bytes:
    what = "main^{tree}" if mode == "40000" else "main" if mode == "160000" else "main:README"
    return f"{mode} ".encode() + name + b"\0" + bytes.fromhex(world.git("rev-parse", what))


def _odd_tree(mode: str, name: bytes, world: World) -> None:
    world.point_evil(world.commit_tree(_tree(world) + _entry(world, mode, name)))


def _unsorted_tree(world: World) -> None:
    world.point_evil(world.commit_tree(_entry(world, "100644", b"zz") + _tree(world)))


def _nested_odd_tree(world: World) -> None:
    inner = world.git(
        "hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=_entry(world, "100644", b"a/b")
    )
    world.point_evil(world.commit_tree(_tree(world) + b"40000 zzz\0" + bytes.fromhex(inner)))


def _odd_then_good(world: World) -> None:
    """A malformed tree in the history, with a sound tree on top."""
    odd = world.commit_tree(_tree(world) + _entry(world, "100644", b"zz/evil"))
    world.point_evil(world.git("commit-tree", "-p", odd, "-m", "sound again", world.git("rev-parse", "main^{tree}")))


def _cut_tree(world: World) -> None:
    world.point_evil(world.commit_tree(_tree(world)[:-5]))


def _raw_commit(lines: bytes, world: World) -> None:
    tree, parent = world.git("rev-parse", "agent/web/evil^{tree}"), world.git("rev-parse", "main")
    data = lines.replace(b"TREE", tree.encode()).replace(b"PARENT", parent.encode())
    world.point_evil(world.git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=data))


_HEAD = b"tree TREE\nparent PARENT\nauthor E <e@e> 1 +0000\ncommitter E <e@e> 1 +0000\n"
_COMMITS = {
    "without an author": b"tree TREE\nparent PARENT\ncommitter E <e@e> 1 +0000\n\nx\n",
    "without a committer": b"tree TREE\nparent PARENT\nauthor E <e@e> 1 +0000\n\nx\n",
    "without a message": _HEAD + b"\n",
    "without the empty line": _HEAD,
    "with an unknown encoding": _HEAD + b"encoding no-such-encoding\n\n\xff\xfe\n",
    "with an encoding of escapes": _HEAD + b"encoding \x1b[2J\n\nx\n",
    "with utf-16": _HEAD + b"encoding UTF-16\n\n" + "message".encode("utf-16"),
    "with a NUL": _HEAD + b"\nsub\0ject\n",
    "with escapes": _HEAD + b"\n\x1b[2J\x1b]0;title\x07subject\r\n",
    "with a date in the future": _HEAD.replace(b"> 1 ", b"> 99999999999 ") + b"\nx\n",
    "with a date beyond time": _HEAD.replace(b"> 1 ", b"> 99999999999999999999999 ") + b"\nx\n",
    "with a negative date": _HEAD.replace(b"> 1 ", b"> -5 ") + b"\nx\n",
    "with an odd zone": _HEAD.replace(b"+0000", b"+99999") + b"\nx\n",
    "without a date": _HEAD.replace(b" 1 +0000", b"") + b"\nx\n",
    "with brackets in the name": _HEAD.replace(b"E <e@e>", b"E <<e>@e>>") + b"\nx\n",
    "with an empty name": _HEAD.replace(b"E <e@e>", b" <>") + b"\nx\n",
    "with two authors": _HEAD + b"author F <f@f> 2 +0000\n\nx\n",
    "with a forged trailer": _HEAD + b"\nx\n\nOrchestra-Agent: good\nOrchestra-Fleet: web\n",
    "with a signature": _HEAD
    + b"gpgsig -----BEGIN PGP SIGNATURE-----\n \n nonsense\n -----END PGP SIGNATURE-----\n\nx\n",
    "with a merge tag": _HEAD
    + b"mergetag object 1111111111111111111111111111111111111111\n type commit\n tag x\n\nx\n",
    "with a long subject": _HEAD + b"\n" + b"x" * 200_000 + b"\n",
    "with the same parent twice": _HEAD.replace(b"PARENT\n", b"PARENT\nparent PARENT\n") + b"\nx\n",
    "with a missing parent": _HEAD.replace(b"PARENT", b"1" * 40) + b"\nx\n",
    "with a missing tree": _HEAD.replace(b"TREE", b"1" * 40) + b"\nx\n",
    "whose tree is a blob": _HEAD.replace(b"TREE", b"e69de29bb2d1d6434b8b29ae775ad8c2e48c5391") + b"\nx\n",
}


def _octopus(world: World) -> None:
    sides = []
    for number in range(4):
        world.git("checkout", "--quiet", "--detach", "main", folder=world.evil)
        (world.evil / f"side{number}").write_text("x\n", "utf-8")
        world.git("add", "--all", folder=world.evil)
        world.git("commit", "--quiet", "-m", f"side {number}", folder=world.evil)
        sides.append(world.git("rev-parse", "HEAD", folder=world.evil))
    world.git("checkout", "--quiet", "agent/web/evil", folder=world.evil)
    world.git("merge", "--quiet", "-m", "octopus", *sides, folder=world.evil)


def _empty_commits(world: World) -> None:
    for number in range(3):
        world.git("commit", "--quiet", "--allow-empty", "-m", f"empty {number}", folder=world.evil)


def _orphan_branch(world: World) -> None:
    world.point_evil(find_object(world, "orphan"))


def _lost_object(what: str, world: World) -> None:
    """Delete or damage an object of the hostile agent's branch."""
    name = world.git("rev-parse", what)
    place = world.repository / ".git" / "objects" / name[:2] / name[2:]
    place.unlink()


def _damaged_object(what: str, world: World) -> None:
    name = world.git("rev-parse", what)
    place = world.repository / ".git" / "objects" / name[:2] / name[2:]
    place.chmod(0o644)
    place.write_bytes(b"damaged")


def _replaced(world: World) -> None:
    tip = world.git("rev-parse", "agent/web/evil")
    world.git("replace", tip, world.git("rev-parse", "agent/web/good"))


def _grafted(world: World) -> None:
    info = world.repository / ".git" / "info"
    info.mkdir(exist_ok=True)
    (info / "grafts").write_text(world.git("rev-parse", "agent/web/evil") + "\n", "utf-8")


def _deep_path(world: World) -> None:
    folder = "/".join(["d" * 100] * 45)  # longer than PATH_MAX
    index = {"GIT_INDEX_FILE": str(world.folder / "index")}
    os.environ.update(index)
    try:
        world.git("read-tree", "agent/web/evil")
        blob = world.git("rev-parse", "main:README")
        world.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{folder}/file")
        tree = world.git("write-tree")
    finally:
        del os.environ["GIT_INDEX_FILE"]
    world.point_evil(world.git("commit-tree", "-p", "agent/web/evil", "-m", "deep", tree))


def _long_name(world: World) -> None:
    world.point_evil(world.commit_tree(_tree(world) + _entry(world, "100644", b"z" * 300)))


def _many_names(names: list[bytes], world: World) -> None:
    entries = _tree(world) + b"".join(_entry(world, "100644", name) for name in sorted(names))
    world.point_evil(world.commit_tree(entries))


def _attributes(text: str, world: World) -> None:
    world.commit("evil", "src/other.txt", "café\n")
    blob = world.git("hash-object", "-w", "--stdin", stdin=text.encode())
    world.point_evil(world.commit_tree(b"100644 .gitattributes\0" + bytes.fromhex(blob) + _tree(world)))


def _link_in_commit(target: str, world: World) -> None:
    place = world.evil / "src" / "link"
    place.symlink_to(target.replace("OUTSIDE", str(world.outside)))
    world.git("add", "src/link", folder=world.evil)
    world.git("commit", "--quiet", "-m", "a link", folder=world.evil)


def _folder_becomes_link(world: World) -> None:
    world.git("rm", "-r", "--quiet", "src", folder=world.evil)
    (world.evil / "src").symlink_to(world.outside / "folder")
    world.git("add", "src", folder=world.evil)
    world.git("commit", "--quiet", "-m", "a folder becomes a link", folder=world.evil)


def _commits_instructions(world: World) -> None:
    for name in ("TASK.md", "CLAUDE.md", "AGENT_NOTES.md"):
        world.commit("evil", name, "changed by the agent\n")


def _instructions_as(mode: str, world: World) -> None:
    """The branch has a link, a folder or a repository where the instruction files are."""
    for name in (b"AGENT_NOTES.md", b"CLAUDE.md", b"TASK.md"):
        world.point_evil(world.commit_tree(_tree(world) + _entry(world, mode, name)))


def _changes_everything(world: World) -> None:
    world.git("rm", "-r", "--quiet", ".", folder=world.evil)
    world.git("commit", "--quiet", "-m", "nothing is left", folder=world.evil)


def commits() -> Iterator[Situation]:
    odd_names = (
        *(b"", b".", b"..", b".git", b".GIT", b"git~1", b".g\xe2\x80\x8cit", b"zz/evil", b"a/../../b", b"/zz", b"zz/"),
        *(b".git ", b".git.", b".git::$INDEX_ALLOCATION", b"con", b"a\nb", b"a\\b", b"\xff\xfe", b"-f", b"C:evil"),
    )
    for name in odd_names:
        for mode in ("100644", "120000", "40000", "160000"):
            yield Situation(f"tree entry {name!r} with mode {mode}", partial(_odd_tree, mode, name))
    for mode in ("100664", "100600", "000000", "777777", "0100644", "40755", "100755x"):
        yield Situation(f"tree entry with mode {mode}", partial(_odd_tree, mode, b"zz"))
    yield Situation("tree with duplicates", partial(_odd_tree, "100644", b"README"))
    yield Situation("unsorted tree", _unsorted_tree)
    yield Situation("odd tree below", _nested_odd_tree)
    yield Situation("odd tree in the history", _odd_then_good)
    yield Situation("tree that is cut", _cut_tree)
    for fault, lines in _COMMITS.items():
        yield Situation(f"commit {fault}", partial(_raw_commit, lines))
    yield Situation("octopus merge", _octopus)
    yield Situation("empty commits", _empty_commits)
    yield Situation("unrelated history", _orphan_branch)
    for what in ("agent/web/evil", "agent/web/evil^{tree}", "agent/web/evil:src", "agent/web/evil:src/evil.txt"):
        for phase in (Phase.WORKED, Phase.APPROVED):
            yield Situation(f"{what} is missing, {phase}", partial(_lost_object, what), phase)
            yield Situation(f"{what} is damaged, {phase}", partial(_damaged_object, what), phase)
    yield Situation("replaced commit", _replaced)
    yield Situation("grafted commit", _grafted)
    yield Situation("path longer than the system allows", _deep_path)
    yield Situation("name longer than the file system allows", _long_name)
    yield Situation("names that differ in case", partial(_many_names, [b"Zz", b"zZ", b"zz", b"readme"]))
    for text in ("* text=auto eol=crlf\n", "* working-tree-encoding=UTF-16\n", "* working-tree-encoding=nonsense\n"):
        yield Situation(f"attributes {text.strip()}", partial(_attributes, text))
    for text in (
        "* merge=ours\n",
        "* filter=lfs diff=lfs merge=lfs -text\n",
        "* export-ignore ident\n",
        "[attr]x -x\n",
    ):
        yield Situation(f"attributes {text.strip()}", partial(_attributes, text))
    for target in ("OUTSIDE/secret", "../../../outside/secret", "link", "/dev/zero", "", "a\nb"):
        if target:
            yield Situation(f"a link to {target!r}", partial(_link_in_commit, target))
    yield Situation("a folder becomes a link", _folder_becomes_link, good_lands=False)  # a conflict
    yield Situation("changed instructions", _commits_instructions)
    for mode in ("120000", "40000", "160000"):
        yield Situation(f"instructions with mode {mode}", partial(_instructions_as, mode))
    yield Situation("everything is deleted", _changes_everything)

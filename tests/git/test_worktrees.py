"""Worktrees that appear whole or not at all, and are what git's own checkout would have made."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestra.errors import DiskFull, GitError, GroundError
from orchestra.git import worktree_admin, worktrees
from orchestra.git.fast_checkout import clear
from orchestra.git.repository import Repository
from orchestra.git.worktree_admin import staged
from orchestra.git.worktrees import Place
from tests.conftest import Checkout, Content, MakeRepository, SetGlobally

PLAIN: Mapping[str, Content] = {
    "README.md": "# sample\n",
    "src/deep/er/code.py": "x = 1\n" * 50,
    "src/empty": "",
    "run.sh": "#!/bin/sh\nexit 0\n",
    "naïve café/ünï.txt": "accents\n",
    "with\nnewline": "odd name\n",
    " leading and trailing ": "spaces\n",
    "binary.bin": bytes(range(256)) * 5000,  # bigger than what a writer keeps in memory
}


def places(repository: Checkout, count: int, folder: str = "worktrees") -> list[Place]:
    """``count`` places with a branch each, at HEAD."""
    head = Repository.discover(repository.path).require_commit("HEAD")
    root = repository.path.parent / folder
    for number in range(count):
        repository.git("branch", f"work/{number}")
    return [Place(root / f"agent-{number}", head, f"work/{number}", f"test: {number}") for number in range(count)]


def add_all(repository: Checkout, wanted: list[Place]) -> list[Checkout]:
    worktrees.add_all(Repository.discover(repository.path), wanted)
    return [Checkout(place.path) for place in wanted]


def check_like_gits(repository: Checkout, made: list[Checkout]) -> None:
    """Same files, bytes and modes as a worktree of plain git, clean by stat data alone, and unlocked by nobody."""
    plain = repository.path.parent / "plain"
    repository.git("worktree", "add", "--quiet", "--detach", str(plain), "HEAD")
    for worktree in made:
        assert _contents(worktree.path) == _contents(plain)
        # diff-files never looks into a file whose stat data it knows: exit 0 says that all of it is right.
        worktree.git("diff-files", "--quiet")
        assert worktree.git("status", "--porcelain") == ""
        assert worktree.git("diff-index", "--cached", "HEAD") == ""


def _contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    found: dict[str, tuple[int, bytes]] = {}
    for path in sorted(folder.rglob("*")):
        if path.name == ".git" and path.parent == folder:
            continue
        data = os.fsencode(path.readlink()) if path.is_symlink() else b"" if path.is_dir() else path.read_bytes()
        found[path.relative_to(folder).as_posix()] = (path.lstat().st_mode, data)
    return found


def test_copies_are_what_git_checks_out(make_repository: MakeRepository) -> None:
    repository = make_repository(PLAIN, name="repo with space é")
    (repository.path / "link").symlink_to("src/empty")
    (repository.path / "dangling").symlink_to("/no/where")
    repository.commit("links")
    made = add_all(repository, places(repository, 4, "work trees ü"))
    check_like_gits(repository, made)
    for number, worktree in enumerate(made):
        assert worktree.git("symbolic-ref", "--short", "HEAD") == f"work/{number}"
    assert not (repository.path.parent / "work trees ü" / worktree_admin.NEW).exists()


@pytest.mark.parametrize(
    "config",
    [
        {"core.autocrlf": "true"},
        {"core.eol": "crlf"},
        {"core.symlinks": "false"},
        {"core.fileMode": "false"},
        {"index.version": "4"},
        {"feature.manyFiles": "true"},
        {"core.untrackedCache": "true"},
        {"core.splitIndex": "true"},
        {"index.threads": "true"},
        {"core.sharedRepository": "group"},
        {"core.preloadIndex": "true", "core.trustctime": "false"},
    ],
    ids=lambda config: " ".join(f"{key}={value}" for key, value in config.items()),
)
def test_whatever_the_configuration(make_repository: MakeRepository, config: dict[str, str]) -> None:
    files = {**PLAIN, ".gitattributes": "*.py text=auto\n*.bin -text\n", "crlf.txt": "a\r\nb\r\n"}
    repository = make_repository(files)
    (repository.path / "link").symlink_to("README.md")
    repository.commit("link")
    for key, value in config.items():
        repository.git("config", key, value)
    check_like_gits(repository, add_all(repository, places(repository, 3)))


def test_global_filters_run_as_git_runs_them(make_repository: MakeRepository, set_globally: SetGlobally) -> None:
    """As for LFS: what is in the worktree is not what is in the commit, and git calls it clean."""
    attributes = "*.big filter=shout\n*.id ident\n*.sh eol=lf\n*.bat eol=crlf\n"
    repository = make_repository(
        {".gitattributes": attributes, "a.big": "quiet\n", "v.id": "$Id$\n", "x.bat": "echo\n", "y.txt": "t\n"}
    )
    set_globally("filter.shout.smudge", "tr a-z A-Z")
    set_globally("filter.shout.clean", "tr A-Z a-z")
    made = add_all(repository, places(repository, 3))
    check_like_gits(repository, made)
    assert (made[2].path / "a.big").read_text() == "QUIET\n"
    assert (made[2].path / "x.bat").read_bytes() == b"echo\r\n"
    assert (made[2].path / "v.id").read_text().startswith("$Id: ")


def test_submodules_stay_empty_folders(make_repository: MakeRepository) -> None:
    inner = make_repository({"lib.c": "int x;\n"}, name="inner")
    repository = make_repository(PLAIN)
    repository.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner.path), "vendor/lib")
    repository.git("commit", "--quiet", "-m", "submodule")
    made = add_all(repository, places(repository, 3))
    check_like_gits(repository, made)
    assert list((made[1].path / "vendor/lib").iterdir()) == []


def test_a_sparse_checkout_stays_sparse(make_repository: MakeRepository) -> None:
    repository = make_repository({"in/a": "a", "out/b": "b", "top": "t"})
    repository.git("sparse-checkout", "set", "in")
    made = add_all(repository, places(repository, 3))
    check_like_gits(repository, made)
    assert not (made[2].path / "out").exists()


def test_sha256_repositories(tmp_path: Path) -> None:
    repository = Checkout(tmp_path / "repo")
    repository.path.mkdir()
    repository.git("init", "--quiet", "--object-format=sha256", "--initial-branch=main")
    repository.commit("first", {"a/b.txt": "x\n", "c": "y\n"})
    check_like_gits(repository, add_all(repository, places(repository, 3)))


def test_branches_at_different_commits(make_repository: MakeRepository) -> None:
    repository = make_repository({"a": "1\n"}, {"a": "2\n", "b": "new\n"})
    wanted = places(repository, 4)
    first = Repository.discover(repository.path).require_commit("HEAD~1")
    for number in (1, 3):
        repository.git("branch", "--force", str(wanted[number].branch), first)
        wanted[number] = Place(wanted[number].path, first, wanted[number].branch, "test")
    made = add_all(repository, wanted)
    assert [(worktree.path / "b").exists() for worktree in made] == [True, False, True, False]
    assert all(worktree.git("status", "--porcelain") == "" for worktree in made)


def test_a_detached_worktree_for_a_gate(repository: Checkout) -> None:
    opened = Repository.discover(repository.path)
    place = Place(repository.path.parent / "slots" / "1", opened.require_commit("HEAD"), None, "orchestra: slot")
    worktrees.add_all(opened, [place])
    entry = worktree_admin.entry(opened, place.path)
    assert entry is not None
    assert (entry.branch, entry.locked) == (None, "orchestra: slot")
    assert worktree_admin.admin_of(place.path).name == "1"


def test_a_change_within_the_tick_of_the_checkout_is_seen(make_repository: MakeRepository) -> None:
    """Racy git: same size, same second, right after the worktree appeared."""
    repository = make_repository({f"f{number}": "aaaa\n" for number in range(20)})
    for worktree in add_all(repository, places(repository, 3)):
        for number in range(20):
            (worktree.path / f"f{number}").write_text("bbbb\n")
        assert len(worktree.git("status", "--porcelain").splitlines()) == 20


def test_twenty_thousand_files(tmp_path: Path) -> None:
    memory = Path("/dev/shm", f"orchestra-{os.getpid()}")  # a disk takes half a minute for what is tested here
    folder = memory if os.access(memory.parent, os.W_OK) else tmp_path
    repository = Checkout(folder / "repo")
    repository.path.mkdir(parents=True)
    try:
        repository.git("init", "--quiet", "--initial-branch=main")
        files = "".join(f"M 644 inline d{n % 101}/e{n % 7}/file-{n}.txt\ndata 5\n{n:05}\n" for n in range(20_000))
        head = "commit refs/heads/main\ncommitter A <a@b> 1700000000 +0000\ndata 1\nx\n"
        repository.git("fast-import", "--quiet", stdin=(head + files).encode())
        _, copy = add_all(repository, places(repository, 2))
        copy.git("diff-files", "--quiet")
        assert copy.git("status", "--porcelain") == ""
        assert len(copy.git("ls-files").splitlines()) == 20_000
    finally:
        shutil.rmtree(memory, ignore_errors=True)


def test_names_that_the_file_system_folds_go_through_git(repository: Checkout) -> None:
    """As on a case-folding file system: a copy finds a file of the name there; git decides what is right."""
    wanted = places(repository, 2)
    opened = Repository.discover(repository.path)

    def early(_: Mapping[Path, str]) -> None:
        (staged(wanted[1].path) / "README.md").write_text("in the way")

    worktrees.add_all(opened, wanted, registered=early)
    assert Checkout(wanted[1].path).git("status", "--porcelain") == ""
    assert (wanted[1].path / "README.md").read_text() == "# sample\n"


def test_clearing_never_follows_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    (inside / ".git").write_text("gitdir: x")
    (inside / "link").symlink_to(outside)
    (inside / "sub" / "link").symlink_to(outside)
    clear(inside)
    assert [entry.name for entry in inside.iterdir()] == [".git"]
    assert (outside / "precious").exists()


def test_callbacks_come_in_order_and_before_anything_is_seen(repository: Checkout) -> None:
    wanted = places(repository, 3)
    told: list[str] = []

    def registered(names: Mapping[Path, str]) -> None:
        assert set(names) == {place.path for place in wanted}
        assert not any(place.path.exists() for place in wanted)
        told.append("registered")

    def furnish(place: Place, folder: Path) -> None:
        assert (folder / "README.md").exists() and not place.path.exists()
        (folder / "TASK.md").write_text("task")
        told.append(f"furnish {place.path.name}")

    def placed(place: Place) -> None:
        assert (place.path / "TASK.md").exists()
        told.append(f"placed {place.path.name}")

    worktrees.add_all(
        Repository.discover(repository.path), wanted, registered=registered, furnish=furnish, placed=placed
    )
    assert told[0] == "registered"
    assert sorted(told[1:]) == sorted(f"{what} agent-{n}" for n in range(3) for what in ("furnish", "placed"))
    assert told[-1] == "placed agent-0"  # the source of the copies stays hidden to the end


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), GroundError("no")])
def test_what_fails_halfway_is_taken_back(repository: Checkout, error: BaseException) -> None:
    wanted = places(repository, 3)
    seen: list[Path] = []

    def furnish(place: Place, folder: Path) -> None:
        if seen:
            raise error
        seen.append(place.path)

    expected = DiskFull if isinstance(error, OSError) else type(error)
    opened = Repository.discover(repository.path)
    with pytest.raises(expected):
        worktrees.add_all(opened, wanted, furnish=furnish)
    assert [place.path for place in wanted if place.path.exists()] == seen
    assert len(opened.worktrees()) == 2
    assert [entry.name for entry in wanted[0].path.parent.iterdir()] == [seen[0].name]
    left = [place for place in wanted if place.path not in seen]
    assert [worktree.git("status", "--porcelain") for worktree in add_all(repository, left)] == ["", ""]


def test_a_path_that_exists_is_left_alone(repository: Checkout) -> None:
    wanted = places(repository, 2)
    wanted[1].path.mkdir(parents=True)
    (wanted[1].path / "theirs").write_text("precious")
    with pytest.raises(GroundError):
        add_all(repository, wanted)
    assert (wanted[1].path / "theirs").read_text() == "precious"
    assert [entry.name for entry in wanted[1].path.iterdir()] == ["theirs"]
    assert worktree_admin.entry(Repository.discover(repository.path), wanted[1].path) is None


def test_a_registration_of_somebody_else_is_left_alone(repository: Checkout) -> None:
    (place,) = places(repository, 1)
    repository.git("worktree", "add", "--quiet", "--lock", "--reason", "on a stick", str(place.path), "-b", "theirs")
    shutil.move(place.path, place.path.with_name("stick"))
    with pytest.raises(GroundError, match="on a stick"):
        add_all(repository, [place])
    assert worktree_admin.entry(Repository.discover(repository.path), place.path) is not None


def test_what_a_killed_run_left_is_taken_back(repository: Checkout) -> None:
    """Registered and half filled; registered at its place, but not yet there; and half registered."""
    wanted = places(repository, 3)
    opened = Repository.discover(repository.path)
    for place in wanted[:2]:
        folder = staged(place.path)
        folder.parent.mkdir(parents=True, exist_ok=True)
        arguments = ("--no-checkout", "--lock", "--reason", place.reason, str(folder), str(place.branch))
        repository.git("worktree", "add", "--quiet", *arguments)
        (folder / "half").write_text("written")
    worktree_admin.point(worktree_admin.admin_of(staged(wanted[1].path)), wanted[1].path)
    half = opened.common_dir / "worktrees" / "agent-2"
    half.mkdir()
    (half / "locked").write_text(f"{wanted[2].reason}\n")
    made = add_all(repository, wanted)
    assert [worktree.git("status", "--porcelain") for worktree in made] == ["", "", ""]
    assert sorted(entry.name for entry in half.parent.iterdir()) == ["agent-0", "agent-1", "agent-2"]
    assert not staged(wanted[0].path).parent.exists()


def test_a_worktree_in_the_middle_of_being_added_by_somebody_else_stays(repository: Checkout) -> None:
    half = repository.path / ".git" / "worktrees" / "theirs"
    half.mkdir(parents=True)
    (half / "locked").write_text("initializing\n")
    add_all(repository, places(repository, 2))
    assert half.exists()


def test_relative_paths_in_the_configuration_of_newer_gits(repository: Checkout) -> None:
    repository.git("config", "worktree.useRelativePaths", "true")
    check_like_gits(repository, add_all(repository, places(repository, 2)))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_says_so_and_leaves_nothing(make_repository: MakeRepository, tmp_path: Path) -> None:
    repository = make_repository({f"f{number}": os.urandom(20_000) for number in range(30)})
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", small], check=False)
    if mounted.returncode:
        pytest.skip("no right to mount a file system here")
    try:
        wanted = places(repository, 4, "small/worktrees")
        with pytest.raises(DiskFull):
            add_all(repository, wanted)
        opened = Repository.discover(repository.path)
        appeared = [place for place in wanted if place.path.exists()]
        assert all(Checkout(place.path).git("status", "--porcelain") == "" for place in appeared)
        assert len(opened.worktrees()) == 1 + len(appeared)
        assert not staged(wanted[0].path).parent.exists()
        subprocess.run(["mount", "-o", "remount,size=20m", small], check=True)
        add_all(repository, [place for place in wanted if place not in appeared])
        assert all(Checkout(place.path).git("status", "--porcelain") == "" for place in wanted)
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_a_branch_that_is_checked_out_elsewhere_is_gits_refusal(repository: Checkout) -> None:
    (place,) = places(repository, 1)
    repository.git("switch", "--quiet", str(place.branch))
    with pytest.raises(GitError):
        add_all(repository, [place])
    assert not place.path.parent.joinpath(worktree_admin.NEW).exists()


def test_an_empty_worktree_is_not_sparse_where_the_main_checkout_is(make_repository: MakeRepository) -> None:
    main = make_repository({"src/a": "a", "tests/b": "b"})
    main.git("sparse-checkout", "set", "src")
    repository = Repository.discover(main.path)
    place = Place(main.path.parent / "slot", repository.require_commit("HEAD"), None, "slot")
    worktrees.add_empty(repository, place)
    slot = Checkout(place.path)
    slot.git("read-tree", "-m", "-u", "HEAD")
    assert sorted(path.name for path in slot.path.iterdir()) == [".git", "src", "tests"]


def test_what_a_power_cut_emptied_in_the_making_is_replaced(repository: Checkout) -> None:
    wanted = places(repository, 1)
    folder = staged(wanted[0].path)
    repository.git("worktree", "add", "--quiet", "--no-checkout", "--lock", "--reason=test: 0", str(folder), "work/0")
    admin = worktree_admin.admin_of(folder)
    (admin / "index").unlink(missing_ok=True)
    for file in (folder / ".git", *(admin / name for name in ("HEAD", "gitdir", "commondir", "locked"))):
        file.write_bytes(b"")
    check_like_gits(repository, add_all(repository, wanted))
    assert [path.name for path in (repository.path / ".git" / "worktrees").iterdir()].count(admin.name) <= 1
    assert not folder.exists()

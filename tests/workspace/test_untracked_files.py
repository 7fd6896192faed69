"""What is brought along into a worktree, and that nothing leaves it or is replaced in it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from orchestra.errors import GroundError
from orchestra.workspace.untracked_files import copy_file, find_belongings, is_as_copied, remember_copies, share_folder
from tests.workspace.conftest import MakeHome, run_spawn
from tests.workspace.worlds import BLUEPRINT, Home


def setup(copy: str = "[]", share: str = "[]") -> str:
    return BLUEPRINT.replace('copy: [".env"]', f"copy: {copy}").replace('share: ["node_modules"]', f"share: {share}")


def test_globs_find_untracked_files_only(make: MakeHome) -> None:
    home = make(setup('["*.local", "config/**", "src/a.txt", "no-such"]'))
    home.checkout.write({"one.local": "1", "sub/two.local": "2", "config/deep/x.ini": "x", "config/y.ini": "y"})
    home.checkout.git("add", "config/y.ini")
    found = find_belongings(home.fleet())
    assert found is not None
    assert found.files == ("config/deep/x.ini", "one.local")
    assert found.missing == ("src/a.txt", "no-such")
    assert found.visible == ("config/deep/x.ini", "one.local")


def test_worktreeinclude_speaks_gitignores_dialect(make: MakeHome) -> None:
    home = make(setup())
    home.checkout.write(
        {
            ".worktreeinclude": "# comment\n*.key\n!public.key\n/only-here\n",
            "a.key": "a",
            "deep/b.key": "b",
            "public.key": "p",
            "only-here": "x",
            "deep/only-here": "y",
        }
    )
    found = find_belongings(home.fleet())
    assert found is not None
    assert found.files == ("a.key", "deep/b.key", "only-here")


def test_what_is_not_ignored_in_the_main_checkout_is_hidden_in_the_worktrees(make: MakeHome) -> None:
    home = make(setup('["secret *.key", ".env"]', '["cache"]'))
    home.checkout.write({"secret [1].key": "k", "cache/x": "x"})
    run_spawn(home)
    worktree = home.agent(1)
    assert (worktree.path / "secret [1].key").read_text() == "k"
    assert (worktree.path / "cache/x").exists()
    assert worktree.git("status", "--porcelain") == ""
    worktree.git("add", "--all")
    assert worktree.git("diff", "--cached", "--name-only") == ""
    worktree.write({"secret 1.key": "another name, which only the glob would match"})
    assert worktree.git("status", "--porcelain") == '?? "secret 1.key"'
    assert sorted(home.checkout.git("status", "--porcelain").splitlines()) == ['?? "secret [1].key"', "?? cache/"]


def test_repositories_inside_are_not_copied_as_files(make: MakeHome) -> None:
    home = make(setup('["vendor/**"]'))
    home.checkout.write({"vendor/inner/x": "x", "vendor/plain": "p"})
    home.checkout.git("init", "--quiet", "vendor/inner")
    found = find_belongings(home.fleet())
    assert found is not None
    assert found.files == ("vendor/plain",)


def test_a_bare_repository_gives_what_the_targets_worktree_has(make: MakeHome) -> None:
    home = make()
    bare = home.path / "bare.git"
    home.checkout.git("clone", "--quiet", "--bare", ".", str(bare))
    (home.path / "repo").rename(home.path / "first")
    bare.rename(home.path / "repo")
    fleet = home.fleet()
    assert find_belongings(fleet) is None
    home.checkout.git("worktree", "add", "--quiet", "../on-main", "main")
    (home.path / "on-main" / ".env").write_text("KEY=3\n")
    found = find_belongings(home.fleet())
    assert found is not None
    assert found.source == home.path / "on-main"
    run_spawn(home)
    assert (home.agent(1).path / ".env").read_text() == "KEY=3\n"


def test_copies_keep_mode_and_never_replace(tmp_path: Path) -> None:
    source, target = tmp_path / "main", tmp_path / "work"
    (source / "a" / "b").mkdir(parents=True)
    target.mkdir()
    for name in ("a/b/secret", "theirs"):
        (source / name).write_text("new")
        (source / name).chmod(0o600)
    assert copy_file(source, "a/b/secret", target)
    assert (target / "a/b/secret").stat().st_mode & 0o777 == 0o600
    (target / "theirs").write_text("old")
    assert not copy_file(source, "theirs", target)
    assert (target / "theirs").read_text() == "old"


def test_copies_stay_inside_and_links_become_files(tmp_path: Path) -> None:
    source, outside, target = tmp_path / "main", tmp_path / "outside", tmp_path / "work"
    for folder in (source / "out", outside, target):
        folder.mkdir(parents=True)
    (outside / "shared.env").write_text("shared")
    (source / "out" / "x").write_text("x")
    (source / ".env").symlink_to(outside / "shared.env")
    (target / "out").symlink_to(outside)
    assert not copy_file(source, "out/x", target)
    assert sorted(path.name for path in outside.iterdir()) == ["shared.env"]
    assert copy_file(source, ".env", target)
    assert not (target / ".env").is_symlink()


def test_copies_are_remembered(tmp_path: Path) -> None:
    work, own = tmp_path / "work", tmp_path / "own"
    work.mkdir()
    own.mkdir()
    (work / ".env").write_text("x")
    remember_copies(own, work, [".env"])
    assert is_as_copied(own, ".env", work / ".env")
    assert not is_as_copied(own, "other", work / ".env")
    (work / ".env").write_text("y")
    assert not is_as_copied(own, ".env", work / ".env")
    assert not is_as_copied(tmp_path, ".env", work / ".env")


def test_a_virtual_environment_is_not_shared(make: MakeHome) -> None:
    home = make(setup(share='[".venv"]'))
    home.checkout.write({".venv/pyvenv.cfg": "home = /usr/bin\n", ".venv/bin/activate": "VIRTUAL_ENV=main\n"})
    report = run_spawn(home)
    assert not (home.agent(1).path / ".venv").exists()
    assert [note for note in report.notes if ".venv" in note] == [
        "setup: .venv is not shared: a virtual environment names the folder that it was made in, and would install "
        "into the main checkout; create it in each worktree with setup.run"
    ]


def test_a_shared_folder_is_a_copy_of_its_own(tmp_path: Path) -> None:
    source, work = tmp_path / "node_modules", tmp_path / "work"
    (source / ".bin").mkdir(parents=True)
    work.mkdir()
    (source / "x.js").write_text("1")
    (source / "run").write_text("#!")
    (source / "run").chmod(0o755)
    (source / ".bin" / "run").symlink_to("../run")
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        (tmp_path / "s").rename(source / "socket")
        assert share_folder(tmp_path, "node_modules", work)
    copy = work / "node_modules"
    assert (copy / ".bin" / "run").readlink() == Path("../run")
    assert os.access(copy / "run", os.X_OK)
    assert sorted(path.name for path in copy.iterdir()) == [".bin", "run", "x.js"]
    (copy / "x.js").write_text("2")
    assert (source / "x.js").read_text() == "1"
    assert sorted(path.name for path in work.iterdir()) == ["node_modules"]


def test_a_shared_folder_appears_whole_and_replaces_nothing(tmp_path: Path) -> None:
    source, work = tmp_path / "cache", tmp_path / "work"
    source.mkdir()
    (work / "cache").mkdir(parents=True)
    (source / "x").write_text("x")
    (work / ".orchestra-tmp" / "folder").mkdir(parents=True)  # of a killed run
    assert not share_folder(tmp_path, "cache", work)
    (work / "cache").rmdir()
    assert share_folder(tmp_path, "cache", work)
    assert sorted(path.name for path in work.iterdir()) == ["cache"]


def test_what_cannot_be_shared_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for a disk with a fault: the kernel refuses to write on."""
    import resource
    import signal

    source, work = tmp_path / "cache", tmp_path / "work"
    source.mkdir()
    work.mkdir()
    (source / "big").write_bytes(b"x" * 200_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(GroundError, match="File too large"):
            share_folder(tmp_path, "cache", work)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(work.iterdir()) == []


def test_nothing_is_copied_again_into_a_worktree_that_is_there(home: Home) -> None:
    run_spawn(home)
    (home.agent(1).path / ".env").unlink()
    assert run_spawn(home).steps == ()
    assert not (home.agent(1).path / ".env").exists()

"""Atomic writes, and access to folders whose content an agent controls."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestra.files import read_regular, read_tail, write_atomically, write_below


@pytest.mark.parametrize("durable", [False, True])
def test_a_write_replaces_the_file_and_leaves_no_temporary_one(tmp_path: Path, durable: bool) -> None:
    place = tmp_path / "deep" / "er" / "file"
    write_atomically(place, "old", durable=durable)
    write_atomically(place, "n\udce9w\n", durable=durable)
    assert place.read_bytes() == b"n\xe9w\n"
    assert [entry.name for entry in place.parent.iterdir()] == ["file"]


def test_a_write_that_fails_leaves_the_old_content_and_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="file"):
        write_atomically(tmp_path / "file", "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_mode_is_set_before_the_content_is_readable(tmp_path: Path) -> None:
    write_atomically(tmp_path / "secret", "x", mode=0o600)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_writing_below_a_folder_replaces_a_link_at_the_place(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("mine")
    root = tmp_path / "root"
    root.mkdir()
    (root / "TASK.md").symlink_to(tmp_path / "outside")
    write_below(root, "TASK.md", "task")
    assert (tmp_path / "outside").read_text() == "mine"
    assert (root / "TASK.md").read_text() == "task"


def test_writing_below_a_folder_follows_no_linked_folder(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    root = tmp_path / "root"
    root.mkdir()
    (root / "sub").symlink_to(tmp_path / "outside")
    with pytest.raises(OSError, match="sub"):
        write_below(root, "sub/file", "x")
    with pytest.raises(ValueError, match="leaves"):
        write_below(root, "../outside/file", "x")
    assert not list((tmp_path / "outside").iterdir())
    write_below(root, "new/deep/file", "x")
    assert (root / "new/deep/file").read_text() == "x"


def test_a_new_file_replaces_nothing(tmp_path: Path) -> None:
    assert write_below(tmp_path, "sub/file", "first", only_new=True)
    assert not write_below(tmp_path, "sub/file", "second", only_new=True)
    (tmp_path / "link").symlink_to("missing")
    assert not write_below(tmp_path, "link", "x", only_new=True)
    assert (tmp_path / "sub" / "file").read_text() == "first"
    assert [entry.name for entry in (tmp_path / "sub").iterdir()] == ["file"]


def test_reading_accepts_regular_files_only_and_at_most_the_limit(tmp_path: Path) -> None:
    (tmp_path / "notes").write_bytes(b"0123456789")
    (tmp_path / "link").symlink_to("notes")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    assert read_regular(tmp_path / "notes", most=4) == b"0123"
    for name in ("link", "pipe", "folder", "missing"):
        assert read_regular(tmp_path / name) is None
    assert read_regular(Path("/dev/zero")) is None


def test_reading_below_a_folder_follows_no_linked_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("x")
    (tmp_path / "link").symlink_to("real")
    assert read_regular(tmp_path / "real" / "file", below=tmp_path) == b"x"
    assert read_regular(tmp_path / "link" / "file", below=tmp_path) is None


def test_the_tail_of_a_log_is_its_last_bytes(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"0123456789")
    assert read_tail(tmp_path / "log", 3) == b"789"
    assert read_tail(tmp_path / "missing") == b""


def test_the_tail_of_a_pipe_or_link_is_empty_and_read_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "log").write_bytes(b"text")
    (tmp_path / "link").symlink_to("log")
    assert read_tail(tmp_path / "pipe") == b""
    assert read_tail(tmp_path / "link") == b""


def test_a_write_removes_what_a_killed_writer_left(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left = tmp_path / f".notes.{int(ended.stdout)}-0123456789ab"
    at_work = tmp_path / f".notes.{os.getpid()}-0123456789ab"
    for path in (left, at_work, tmp_path / ".notes.mine"):
        path.write_text("half")
    write_atomically(tmp_path / "notes", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([at_work.name, ".notes.mine", "notes"])

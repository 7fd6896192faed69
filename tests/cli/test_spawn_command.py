"""``orchestra spawn``: what it refuses in one sentence."""

from __future__ import annotations

import pytest

from tests.conftest import MakeRepository

from .conftest import Orchestra


def test_a_new_repository_gets_one_error_with_its_fix(
    make_repository: MakeRepository, orchestra: Orchestra, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make_repository().path)
    code, out, err = orchestra("spawn", "mvp5")
    assert (code, out) == (2, "")
    (error,) = err.splitlines()
    assert error.startswith("error: main has no package.json")
    assert "run `orchestra init --from=mvp5`" in error

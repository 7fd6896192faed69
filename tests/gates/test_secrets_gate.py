"""Secrets that a branch brings, in every way that an agent could hide one; and what is none."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable

import pytest

from orchestra.blueprint.model import Builtin, Policy
from orchestra.gates.builtin import BuiltinResult
from orchestra.gates.secrets_gate import ALLOWED_FILE, find_secrets, redact
from tests.conftest import Checkout, MakeRepository
from tests.gates.branches import github_token, letters, private_key, run_gate

HEX = "0123456789abcdef"


@pytest.fixture
def repo(make_repository: MakeRepository) -> Checkout:
    return make_repository({"start": "s\n"})


def found(repo: Checkout, base: str, notes: str = "") -> BuiltinResult:
    return run_gate(repo, base, Builtin.SECRETS, notes)


KINDS: dict[str, Callable[[], str]] = {
    "a private key": private_key,
    "an encrypted private key": lambda: private_key().replace("-----\n", "-----\nProc-Type: 4,ENCRYPTED\n\n", 1),
    "a private key in JSON": lambda: '{"private_key": "' + private_key().replace("\n", "\\n") + '"}',
    "a GitHub token": github_token,
    "a fine-grained GitHub token": lambda: "github_" + "pat_" + letters(82),
    "an AWS access key": lambda: "AK" + "IA" + letters(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
    "an AWS secret key": lambda: "aws_secret_access_" + f"key = {letters(38)}Zz",
    "a Slack token": lambda: "xo" + f"xb-123456789012-{letters(24)}",
    "a Slack webhook": lambda: "https://hooks.slack" + f".com/services/T{letters(8, 'ABC1')}/B0AB12CD3/{letters(24)}",
    "a Stripe key": lambda: "sk_" + f"live_{letters(24)}",
    "an npm token": lambda: "np" + f"m_{letters(36)}",
    "an npm token in .npmrc": lambda: "//registry.npmjs.org/:_auth" + f"Token={letters(36)}",
    "a PyPI token": lambda: "pypi" + f"-AgEIcHlwaS5vcmc{letters(70)}",
    "a Google API key": lambda: "AI" + f"za{letters(35)}",
    "an assigned value": lambda: f'const apiToken = "{letters(32)}";',
    "an assigned value in a mapping": lambda: f'"client_secret": "{letters(40, HEX)}",',
    "a value in settings": lambda: f"DATABASE_PASSWORD={letters(24)}",
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_found_and_never_shown(repo: Checkout, kind: str) -> None:
    text = KINDS[kind]()
    base = repo.git("rev-parse", "HEAD")
    repo.commit("work", {"src/config.py": f"# a file\n{text}\n"})
    result = found(repo, base)
    assert result.outcome == "failed"
    assert "src/config.py:2 holds " in result.detail
    assert "fingerprint" in result.detail
    for secret in find_secrets(text.encode()):
        assert secret.value.decode() not in result.detail + repr(result)
        assert secret.value.decode() not in redact(text)


def _deleted(repo: Checkout, secret: str) -> None:
    repo.commit("add", {"a.env": secret})
    repo.git("rm", "-q", "a.env")
    repo.git("commit", "-qm", "delete")


def _message(repo: Checkout, secret: str) -> None:
    repo.commit(f"work\n\nwith {secret}", {"a": "a\n"})


def _author(repo: Checkout, secret: str) -> None:
    repo.write({"a": "a\n"})
    repo.git("add", "a")
    repo.git("commit", "-qm", "work", "--author", f"{secret} <a@example.com>")


def _merge_commit(repo: Checkout, secret: str) -> None:
    repo.commit("own", {"a": "a\n"})
    own = repo.git("rev-parse", "HEAD")
    repo.git("checkout", "-q", "--detach", "HEAD~1")
    repo.commit("other", {"b": "b\n"})
    repo.git("merge", "-q", "--no-commit", "--no-ff", own)
    repo.commit("merge", {"c": secret})


def _attribute(repo: Checkout, secret: str) -> None:
    repo.commit("hide", {".gitattributes": "* -diff -text binary\n", "a.bin": secret})


def _binary(repo: Checkout, secret: str) -> None:
    (repo.path / "a.bin").write_bytes(b"\0\1\2" * 200 + secret.encode() + b"\0")
    repo.commit("binary")


def _wide(repo: Checkout, secret: str) -> None:
    (repo.path / "a.txt").write_bytes(secret.encode("utf-16"))
    repo.commit("wide")


def _base64(repo: Checkout, secret: str) -> None:
    repo.commit("hide", {"a.txt": f"blob: {base64.b64encode(f'user:{secret}:x'.encode()).decode()}\n"})


def _wrapped_base64(repo: Checkout, secret: str) -> None:
    encoded = base64.encodebytes(f"{'text ' * 30}{secret} {'text ' * 30}".encode()).decode()
    repo.commit("hide", {"a.txt": encoded})


def _link(repo: Checkout, secret: str) -> None:
    (repo.path / "a").symlink_to(f"/run/{secret}")
    repo.commit("link")


def _renamed(repo: Checkout, secret: str) -> None:
    repo.commit("add", {"a": f"{'line' * 30}\n{secret}\n"})
    repo.git("mv", "a", "b")
    repo.commit("rename", {"b": f"{'line' * 30}\nnothing\n"})


def _newline_path(repo: Checkout, secret: str) -> None:
    repo.commit("odd", {"a\n:100644 b\n+++ c/\u202etxt": secret})


def _root(repo: Checkout, secret: str) -> None:
    base = repo.git("rev-parse", "HEAD")
    repo.git("checkout", "-q", "--orphan", "other")
    repo.commit("unrelated", {"a": secret})
    repo.git("merge", "-q", "--allow-unrelated-histories", "-s", "ours", "-m", "join", base)


def _staged_over(repo: Checkout, secret: str) -> None:
    for number in range(5):
        repo.commit(f"step {number}", {"a": secret if number == 2 else f"{number}\n"})


HIDING = {
    "deleted in a later commit": _deleted,
    "in a commit message": _message,
    "in an author": _author,
    "in a merge commit alone": _merge_commit,
    "called binary by .gitattributes": _attribute,
    "in a binary file": _binary,
    "in UTF-16": _wide,
    "in base64": _base64,
    "in wrapped base64": _wrapped_base64,
    "in the target of a link": _link,
    "in a file renamed later": _renamed,
    "under a path with newlines and text marks": _newline_path,
    "in an unrelated history merged with ours": _root,
    "between two harmless versions": _staged_over,
}


@pytest.mark.parametrize("way", HIDING)
def test_each_way_to_hide_a_secret_is_seen(repo: Checkout, way: str) -> None:
    secret, base = github_token(), repo.git("rev-parse", "HEAD")
    hide: Callable[[Checkout, str], None] = HIDING[way]
    hide(repo, secret)
    result = found(repo, base)
    assert result.outcome == "failed", way
    assert "GitHub token" in result.detail
    assert secret not in result.detail
    assert "\n" not in result.detail


def test_a_secret_in_a_file_s_name_and_in_the_notes_is_seen(repo: Checkout) -> None:
    base, secret = repo.git("rev-parse", "HEAD"), github_token()
    repo.commit("work", {f"keys/{secret}": "x\n", "AGENT_NOTES.md": "kept out\n"})
    result = found(repo, base, notes=f"## What I Built\n\nIt works with {github_token(8)}\n")
    assert len(result.findings) == 2
    assert secret not in result.detail
    assert "AGENT_NOTES.md:3 holds" in result.detail


def test_a_deleted_secret_is_named_with_its_commit(repo: Checkout) -> None:
    base = repo.git("rev-parse", "HEAD")
    _deleted(repo, github_token())
    commit = repo.git("rev-parse", "--short=10", "HEAD~1")
    assert f"a.env:1 in commit {commit} holds" in found(repo, base).detail
    assert "deleted later" in found(repo, base).detail


def test_a_secret_that_the_file_held_before_is_not_the_branchs(repo: Checkout) -> None:
    repo.commit("old", {"a": f"{github_token()}\n"})
    base, text = repo.git("rev-parse", "HEAD"), (repo.path / "a").read_text()
    repo.commit("edit", {"a": f"more\n{text}"})
    assert found(repo, base).outcome == "passed"


def test_the_targets_list_allows_a_fingerprint_and_the_branchs_does_not(repo: Checkout) -> None:
    secret, base = github_token(), repo.git("rev-parse", "HEAD")
    (fingerprint,) = (each.fingerprint for each in find_secrets(secret.encode()))
    repo.commit("work", {"a": secret, ALLOWED_FILE: f"{fingerprint}\n"})
    assert found(repo, base).outcome == "failed"
    repo.git("checkout", "-q", "-b", "work")
    repo.git("checkout", "-q", "--detach", base)
    target = repo.commit("allow it", {ALLOWED_FILE: f"{fingerprint}  # made up, for the tests of the client\n"})
    repo.git("checkout", "-q", "work")
    assert run_gate(repo, base, Builtin.SECRETS, target=target).outcome == "passed"


def test_notes_excuse_no_secret(repo: Checkout) -> None:
    base = repo.git("rev-parse", "HEAD")
    repo.commit("work", {"src/a.py": github_token()})
    notes = "`src/a.py`: this token is only for tests"
    assert run_gate(repo, base, Builtin.SECRETS, notes, policy=Policy.JUSTIFY).outcome == "failed"
    assert run_gate(repo, base, Builtin.SECRETS, notes, policy=Policy.WARN).outcome == "warned"


def test_a_file_that_is_too_large_to_search_is_reported(repo: Checkout) -> None:
    base = repo.git("rev-parse", "HEAD")
    (repo.path / "big").write_bytes(os.urandom(9 << 20))
    repo.commit("big")
    assert "is not searched" in found(repo, base).detail


@pytest.mark.parametrize(
    "text",
    [
        "secret = os.environ['SECRET_KEY']",
        'password: "correct-horse-battery-staple"',
        'token = "your-token-here-1234567890"',
        "AKIA" + "IOSFODNN7EXAMPLE",
        'const tokenKind = "application/vnd.github.v3+json"',
        '"integrity": "sha512-' + letters(86) + '=="',
        'API_KEY_HASH = "' + letters(64, HEX) + '"',
        'token_id = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"',
        "-----BEGIN " + "PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        "secret_name = 'projects/my-project/secrets/database/versions/1'",
        "password = getpass.getpass()",
        'SECRET = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1"',
        'test("refuses a token that is 32 characters long")',
    ],
)
def test_ordinary_text_is_no_secret(text: str) -> None:
    assert find_secrets(text.encode()) == []

"""Fill the submodules of a new worktree, as a person's checkout has them.

Their content comes from the submodules of the main checkout where those hold the commit, without a network. Otherwise
git clones them, but only from URLs that the fleet's base commit declares: an unapproved branch names no
address to contact.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from orchestra.errors import DiskFull, GroundError
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId
from orchestra.git.remote import limit_protocols

_FILE = ".gitmodules"
_GITLINK = "160000 "
_PATIENCE_S = 300.0
_KEY = re.compile(r"submodule\.(?P<name>.*)\.(?P<key>path|update)", re.DOTALL)


def has_submodules(git: Git, commit: CommitId) -> bool:
    """Return whether the commit declares submodules."""
    return bool(git.run("ls-tree", commit, "--", _FILE).stdout)


def fill_submodules(worktree: Path, common_dir: Path, base: CommitId) -> list[str]:
    """Fill the empty submodules of ``worktree``; return why each that stays empty does. Raises DiskFull."""
    return list(_fill(worktree, common_dir / "modules", base, ""))


def _fill(folder: Path, stores: Path, base: CommitId | None, prefix: str) -> Iterator[str]:
    """``base``: the commit whose URLs may be contacted, in this repository; None: no URL may be."""
    git = Git(folder)
    declared = git.run("config", "--blob", f"HEAD:{_FILE}", "-z", "--get-regexp", r"\.(path|update)$", ok=(0, 1, 128))
    facts: dict[str, dict[str, str]] = {}
    for field in declared.fields:
        key, _, value = field.partition("\n")
        if match := _KEY.fullmatch(key):
            facts.setdefault(match["name"], {})[match["key"]] = value
    same_urls = base is not None and _blob(git, base) == _blob(git, CommitId("HEAD"))
    for name, fact in facts.items():
        path = fact.get("path", "")
        commit = _gitlink(git, "HEAD", path)
        if commit is None or fact.get("update") == "none" or (folder / path / ".git").exists():
            continue
        store = stores / name
        try:
            if ".." not in Path(name).parts and _holds(store, commit):
                _fill_from_store(git, name, path, store)
            elif same_urls:
                words = ("submodule", "update", "--init", "--checkout", "--", path)
                limit_protocols(git).run(*words, timeout_s=_PATIENCE_S)
            else:
                yield f"submodule {prefix}{path} is empty: the branch changed {_FILE}, so its address is not contacted"
                continue
        except DiskFull:
            raise
        except GroundError as error:
            yield f"submodule {prefix}{path} is empty: {error.message}"
            continue
        pinned = same_urls and base is not None and _gitlink(git, base, path) == commit
        yield from _fill(folder / path, store / "modules", commit if pinned else None, f"{prefix}{path}/")


def _fill_from_store(git: Git, name: str, path: str, store: Path) -> None:
    """Clone the submodule from the main checkout's copy of it, and give it that copy's remote."""
    settings = {
        f"submodule.{name}.url": str(store),
        f"submodule.{name}.active": "true",
    }
    only_here = git.with_config(settings).with_env(GIT_ALLOW_PROTOCOL="file")
    only_here.run("submodule", "update", "--init", "--checkout", "--", path)
    inner = Git(git.folder / path)
    url = Git(store).with_env(GIT_DIR=str(store)).run("config", "--get", "remote.origin.url", ok=(0, 1)).text
    # What the copy's remote has, so that clean knows which commits no remote has.
    local = inner.with_env(GIT_ALLOW_PROTOCOL="file")
    local.run("fetch", "--quiet", "--prune", "--no-tags", str(store), "+refs/remotes/origin/*:refs/remotes/origin/*")
    if url:
        inner.run("config", "remote.origin.url", url)


def _holds(store: Path, commit: CommitId) -> bool:
    if not (store / "objects").is_dir():
        return False
    git = Git(store).with_env(GIT_DIR=str(store))
    return git.run("cat-file", "-e", f"{commit}^{{commit}}", ok=(0, 1, 128)).code == 0


def _gitlink(git: Git, tree: str, path: str) -> CommitId | None:
    for entry in git.run("ls-tree", "-z", tree, "--", path).fields if path else ():
        facts, _, entry_path = entry.partition("\t")
        if facts.startswith(_GITLINK) and entry_path == path:
            return CommitId(facts.split()[2])
    return None


def _blob(git: Git, commit: CommitId) -> str:
    return git.text("ls-tree", commit, "--", _FILE)

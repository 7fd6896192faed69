"""Programs that the repository, repositories inside it and submodules name; addresses that would be contacted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.adversary.acts import set_config
from tests.adversary.play import Phase, Situation
from tests.adversary.world import World

_PROGRAM_SETTINGS = (
    *("core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "core.askPass", "core.gitProxy"),
    *("core.alternateRefsCommand", "diff.external", "diff.x.textconv", "diff.x.command", "filter.x.clean"),
    *("filter.x.smudge", "filter.x.process", "merge.x.driver", "gpg.program", "gpg.ssh.program", "credential.helper"),
    *("sequence.editor", "interactive.diffFilter", "uploadpack.packObjectsHook", "trailer.x.command", "trailer.x.cmd"),
    *("submodule.sub.update", "alias.status", "pager.status", "pager.log", "pager.diff", "web.browser", "man.x.cmd"),
    *("mergetool.x.cmd", "difftool.x.cmd", "log.showSignature", "gpg.ssh.defaultKeyCommand"),
)
_ATTRIBUTES = "* filter=x diff=x merge=x\n"


def _program(key: str, scope: str, world: World) -> None:
    """Name a foreign program in the repository's configuration, and use it in every attribute."""
    value = f"!{world.canary}" if key.startswith(("alias", "submodule")) else world.canary
    if key == "log.showSignature":
        value = "true"
        set_config(world, "gpg.program", world.canary)
    if scope == "--worktree":
        set_config(world, "extensions.worktreeConfig", "true")
    set_config(world, key, value, world.evil, scope)
    if key.startswith(("filter", "diff.x", "merge.x")):
        (world.evil / ".gitattributes").write_text(_ATTRIBUTES, "utf-8")
        info = world.repository / ".git" / "info"
        info.mkdir(exist_ok=True)
        (info / "attributes").write_text(_ATTRIBUTES, "utf-8")


def _included_program(world: World) -> None:
    hidden = world.evil / "hidden.config"
    hidden.write_text(f'[filter "x"]\n\tclean = {world.canary}\n[core]\n\tfsmonitor = {world.canary}\n', "utf-8")
    set_config(world, "include.path", str(hidden))
    (world.evil / ".gitattributes").write_text(_ATTRIBUTES, "utf-8")


def _included_on_branch(world: World) -> None:
    hidden = world.evil / "hidden.config"
    hidden.write_text(f'[filter "x"]\n\tclean = {world.canary}\n\tsmudge = {world.canary}\n', "utf-8")
    set_config(world, "includeIf.onbranch:agent/**.path", str(hidden))
    (world.evil / ".gitattributes").write_text(_ATTRIBUTES, "utf-8")


def _oddly_spelled_program(text: str, world: World) -> None:
    config = world.repository / ".git" / "config"
    config.write_text(config.read_text("utf-8") + text.replace("CANARY", world.canary), "utf-8")
    (world.evil / ".gitattributes").write_text(_ATTRIBUTES, "utf-8")


_SPELLINGS = {
    "one line": '[filter "x"] clean = CANARY\n',
    "without spaces": '[filter "x"]clean=CANARY\n',
    "capitals": '[FILTER "x"]\nCLEAN = CANARY\n',
    "old subsection": "[filter.x]\n\tclean = CANARY\n",
    "quoted value": '[filter "x"]\n\tclean = "CANARY"\n',
    "continued line": '[filter "x"]\n\tclean = \\\nCANARY\n',
    "comment before": '[filter "x"] ; a comment\n# another\n\tclean\t=\tCANARY # end\n',
    "carriage returns": '[filter "x"]\r\n\tclean = CANARY\r\n',
    "byte order mark name": '[filter "x y"]\n\tclean = CANARY\n[filter "x"]\n\tclean = CANARY\n',
}


def _hooks(world: World) -> None:
    hooks = world.repository / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    names = (
        *(
            "pre-commit",
            "post-commit",
            "post-checkout",
            "post-merge",
            "pre-rebase",
            "post-rewrite",
            "post-index-change",
        ),
        *("reference-transaction", "update", "pre-receive", "post-receive", "pre-auto-gc", "fsmonitor-watchman"),
        *("prepare-commit-msg", "commit-msg", "applypatch-msg", "pre-merge-commit", "proc-receive", "post-update"),
    )
    for name in names:
        shutil.copy2(world.canary, hooks / name)


def _hooks_path(world: World) -> None:
    _hooks(world)
    shutil.copytree(world.repository / ".git" / "hooks", world.evil / "hooks")
    set_config(world, "core.hooksPath", str(world.evil / "hooks"))


def _nested(world: World, place: Path, *, committed: bool = True) -> Path:
    """Put a repository with programs in its configuration at ``place``."""
    world.git("init", "--quiet", str(place))
    (place / "f").write_text("nested\n", "utf-8")
    (place / ".gitattributes").write_text(_ATTRIBUTES, "utf-8")
    if committed:
        world.git("add", "--all", folder=place)
        world.git("commit", "--quiet", "-m", "nested", folder=place)
        (place / "f").write_text("changed nested work\n", "utf-8")
    for key in ("filter.x.clean", "filter.x.smudge", "core.fsmonitor", "diff.external"):
        set_config(world, key, world.canary, place)
    return place


def _nested_repository(name: str, committed: bool, world: World) -> None:
    _nested(world, world.evil / name, committed=committed)
    world.precious.append("nested")


def _nested_added(world: World) -> None:
    place = _nested(world, world.evil / "vendor" / "deep")
    world.git("add", "vendor/deep", folder=world.evil, check=False)
    world.git("commit", "--quiet", "-m", "gitlink", folder=world.evil)
    (place / "f").write_text("changed again in nested\n", "utf-8")
    world.precious.append("changed again in nested")


def _nested_ignored(world: World) -> None:
    (world.evil / ".gitignore").write_text("build/\n", "utf-8")
    _nested(world, world.evil / "build" / "inner")
    world.precious.append("changed nested work")


def _nested_elsewhere(world: World) -> None:
    """A .git file inside the worktree that leads to a repository of the person."""
    other = _nested(world, world.outside / "other")
    for key in ("filter.x.clean", "filter.x.smudge", "core.fsmonitor", "diff.external"):
        world.git("config", "--unset", key, folder=other)
    inner = world.evil / "inner"
    inner.mkdir()
    (inner / ".git").write_text(f"gitdir: {other / '.git'}\n", "utf-8")
    (inner / "f").write_text("work in the other repository\n", "utf-8")
    world.precious.append("work in the other repository")


def _own_repository_instead(world: World) -> None:
    """The worktree's link to its repository replaced by a repository with programs."""
    (world.evil / ".git").unlink()
    _nested(world, world.evil)


def _link_to_other_repository(world: World) -> None:
    other = _nested(world, world.outside / "other")
    for key in ("filter.x.clean", "filter.x.smudge", "core.fsmonitor", "diff.external"):
        world.git("config", "--unset", key, folder=other)
    (world.evil / ".git").write_text(f"gitdir: {other / '.git'}\n", "utf-8")


def _link_to_main_repository(world: World) -> None:
    (world.evil / ".git").write_text(f"gitdir: {world.repository / '.git'}\n", "utf-8")


def _link_to_good(world: World) -> None:
    (world.evil / ".git").write_text(f"gitdir: {world.repository / '.git/worktrees/good'}\n", "utf-8")


def _hostile_submodule(world: World) -> None:
    sub = world.folder / "library"
    world.git("init", "--quiet", str(sub))
    (sub / "f").write_text("library\n", "utf-8")
    world.git("add", "--all", folder=sub)
    world.git("commit", "--quiet", "-m", "library", folder=sub)
    options = ("-c", "protocol.file.allow=always")
    world.git(*options, "submodule", "--quiet", "add", str(sub), "sub", folder=world.evil)
    world.git("commit", "--quiet", "-m", "a submodule", folder=world.evil)
    set_config(world, "submodule.sub.update", f"!{world.canary}", world.evil)
    for key in ("filter.x.clean", "core.fsmonitor"):
        set_config(world, key, world.canary, world.evil / "sub")
    (world.evil / "sub" / ".gitattributes").write_text(_ATTRIBUTES, "utf-8")
    (world.evil / "sub" / "f").write_text("changed in the submodule\n", "utf-8")
    world.precious.append("changed in the submodule")


def _submodule_address(url: str, world: World) -> None:
    text = f'[submodule "sub"]\n\tpath = sub\n\turl = {url.replace("CANARY", world.canary)}\n\tupdate = checkout\n'
    (world.evil / ".gitmodules").write_text(text, "utf-8")
    commit = world.git("rev-parse", "HEAD", folder=world.evil)
    world.git("add", ".gitmodules", folder=world.evil)
    world.git("update-index", "--add", "--cacheinfo", f"160000,{commit},sub", folder=world.evil)
    world.git("commit", "--quiet", "-m", "a submodule", folder=world.evil)


def _partial_clone(world: World) -> None:
    set_config(world, "remote.evil.url", f"ext::{world.canary}")
    set_config(world, "remote.evil.promisor", "true")
    set_config(world, "remote.evil.partialclonefilter", "blob:none")
    set_config(world, "extensions.partialClone", "evil")
    set_config(world, "core.repositoryFormatVersion", "1")
    blob = world.git("rev-parse", "agent/web/evil:src/evil.txt")
    (world.repository / ".git" / "objects" / blob[:2] / blob[2:]).unlink()


def _remote(url: str, world: World) -> None:
    set_config(world, "remote.origin.url", url.replace("CANARY", world.canary))
    set_config(world, "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")


def _remote_program(key: str, world: World) -> None:
    bare = world.folder / "origin.git"
    world.git("clone", "--quiet", "--bare", str(world.repository), str(bare))
    world.git("remote", "add", "origin", str(bare))
    set_config(world, key, world.canary)


def _instead_of(world: World) -> None:
    _remote_program("user.nothing", world)
    set_config(world, f"url.ext::{world.canary} .insteadOf", str(world.folder / "origin.git"))


def configuration() -> Iterator[Situation]:
    for key in _PROGRAM_SETTINGS:
        for scope in ("--local", "--worktree"):
            yield Situation(f"{key} set {scope}", partial(_program, key, scope))
            yield Situation(f"{key} set {scope}, landed", partial(_program, key, scope), Phase.LANDED)
    yield Situation("a program in an included file", _included_program)
    yield Situation("a program in a file included on a branch", _included_on_branch)
    for name, text in _SPELLINGS.items():
        yield Situation(f"a filter spelled with {name}", partial(_oddly_spelled_program, text))
    for phase in Phase:
        yield Situation(f"hooks, {phase}", _hooks, phase)
    yield Situation("core.hooksPath", _hooks_path)
    for phase in (Phase.WORKED, Phase.LANDED):
        for name in ("inner", "src/inner", "space in name", "-dash", "new\nline"):
            for committed in (True, False):
                act = partial(_nested_repository, name, committed)
                yield Situation(f"nested repository {name!r}, commits: {committed}, {phase}", act, phase)
        yield Situation(f"nested repository in an ignored folder, {phase}", _nested_ignored, phase)
        yield Situation(f"inner .git leads to another repository, {phase}", _nested_elsewhere, phase)
        yield Situation(f"own repository instead of the worktree, {phase}", _own_repository_instead, phase)
        yield Situation(f".git leads to another repository, {phase}", _link_to_other_repository, phase)
        yield Situation(f".git leads to the main repository, {phase}", _link_to_main_repository, phase)
        yield Situation(f".git leads to the other agent's, {phase}", _link_to_good, phase)
        yield Situation(f"a hostile submodule, {phase}", _hostile_submodule, phase)
    yield Situation("a nested repository, added", _nested_added)
    for url in (
        "ext::CANARY",
        "file:///nowhere",
        "ssh://-oProxyCommand=CANARY/x",
        "--upload-pack=CANARY",
        "http://[::1]:1/",
    ):
        yield Situation(f"submodule with the address {url}", partial(_submodule_address, url))
    yield Situation("a promisor remote with a program", _partial_clone)
    for url in ("ext::CANARY", "ssh://-oProxyCommand=CANARY/x", "/nowhere"):
        yield Situation(f"remote with the address {url}", partial(_remote, url), good_lands=False)
    for key in ("remote.origin.uploadpack", "remote.origin.receivepack", "remote.origin.vcs", "remote.origin.proxy"):
        yield Situation(f"remote with {key}", partial(_remote_program, key), good_lands=key != "remote.origin.vcs")
    yield Situation("url.insteadOf with a program", _instead_of, good_lands=False)

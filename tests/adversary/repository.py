"""The state and the settings of the repository, and the environment of the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from tests.adversary.acts import in_the_middle, lock_left, set_config
from tests.adversary.play import Phase, Situation
from tests.adversary.world import World


def _setting(key: str, value: str, world: World) -> None:
    set_config(world, key, value)


def _target_in_another_worktree(world: World) -> None:
    world.git("checkout", "--quiet", "--detach")
    world.git("worktree", "add", "--quiet", str(world.folder / "second"), "main")


def _detached_main(world: World) -> None:
    world.git("checkout", "--quiet", "--detach")


def _symbolic_target(world: World) -> None:
    world.git("branch", "--quiet", "trunk", "main")
    world.git("checkout", "--quiet", "trunk")
    world.git("symbolic-ref", "refs/heads/main", "refs/heads/trunk")


def _tag_of_same_name(world: World) -> None:
    for name in ("main", "agent/web/evil", "agent/web/good"):
        world.git("tag", name, world.git("commit-tree", "-m", "a tag", world.git("rev-parse", "HEAD^{tree}")))


def _branch_named_like_refs(world: World) -> None:
    for name in ("refs/heads/main", "HEAD", "orchestra/main", "refs/orchestra/web/evil/approved"):
        world.git("update-ref", f"refs/heads/{name}", "HEAD")


def _uncommitted_in_main(world: World) -> None:
    (world.repository / "README").write_text("a change of the person\n", "utf-8")
    (world.repository / "mine.txt").write_text("a file of the person\n", "utf-8")


def _case_fold(world: World) -> None:
    set_config(world, "core.ignoreCase", "true")
    set_config(world, "core.precomposeUnicode", "true")


def _shallow(world: World) -> None:
    (world.repository / ".git" / "shallow").write_text(world.git("rev-parse", "main") + "\n", "utf-8")


def _split_index(world: World) -> None:
    world.git("update-index", "--split-index")


def _sparse_main(world: World) -> None:
    world.git("sparse-checkout", "set", "tests")


def _packed(world: World) -> None:
    world.git("gc", "--quiet", "--prune=now")


def _alternates(world: World) -> None:
    """The repository borrows its objects from another one."""
    store = world.folder / "store.git"
    world.git("clone", "--quiet", "--bare", str(world.repository), str(store))
    info = world.repository / ".git" / "objects" / "info"
    info.mkdir(exist_ok=True)
    (info / "alternates").write_text(f"{store / 'objects'}\n", "utf-8")


def _git_folder_elsewhere(world: World) -> None:
    place = world.folder / "git-folder"
    (world.repository / ".git").rename(place)
    (world.repository / ".git").write_text(f"gitdir: {place}\n", "utf-8")


def _git_folder_linked(world: World) -> None:
    place = world.folder / "git-folder"
    (world.repository / ".git").rename(place)
    (world.repository / ".git").symlink_to(place)


def _moved_repository(world: World) -> None:
    """The repository was reached through a link, and the real folder has another name."""
    world.repository.rename(world.folder / "renamed")
    world.repository.symlink_to(world.folder / "renamed")


def _read_only_repository(world: World) -> None:
    world.ordinary_user = True
    for path in [*(world.repository / ".git").rglob("*"), world.repository / ".git"]:
        if path.is_dir():
            path.chmod(0o555)


def _environment(variables: dict[str, str], world: World) -> None:
    world.environment |= {
        name: value.replace("OUTSIDE", str(world.outside)).replace("CANARY", world.canary)
        for name, value in variables.items()
    }


def _started_in(folder: str, world: World) -> None:
    world.start = world.folder / folder


_ENVIRONMENTS: dict[str, dict[str, str]] = {
    "GIT_DIR": {"GIT_DIR": "OUTSIDE"},
    "GIT_WORK_TREE": {"GIT_WORK_TREE": "OUTSIDE"},
    "GIT_INDEX_FILE": {"GIT_INDEX_FILE": "OUTSIDE/index"},
    "GIT_OBJECT_DIRECTORY": {"GIT_OBJECT_DIRECTORY": "OUTSIDE/objects"},
    "GIT_ALTERNATE_OBJECT_DIRECTORIES": {"GIT_ALTERNATE_OBJECT_DIRECTORIES": "OUTSIDE"},
    "GIT_CEILING_DIRECTORIES": {"GIT_CEILING_DIRECTORIES": "/"},
    "GIT_COMMON_DIR": {"GIT_COMMON_DIR": "OUTSIDE"},
    "GIT_NAMESPACE": {"GIT_NAMESPACE": "other"},
    "GIT_LITERAL_PATHSPECS": {"GIT_LITERAL_PATHSPECS": "1"},
    "GIT_DEFAULT_HASH": {"GIT_DEFAULT_HASH": "sha256"},
    "GIT_DEFAULT_REF_FORMAT": {"GIT_DEFAULT_REF_FORMAT": "reftable"},
    "GIT_TRACE": {"GIT_TRACE": "1", "GIT_TRACE2": "1", "GIT_TRACE_SETUP": "1"},
    "GIT_OPTIONAL_LOCKS": {"GIT_OPTIONAL_LOCKS": "0"},
    "GIT_EXTERNAL_DIFF": {"GIT_EXTERNAL_DIFF": "CANARY"},
    "GIT_PAGER": {"GIT_PAGER": "CANARY", "PAGER": "CANARY", "EDITOR": "CANARY", "VISUAL": "CANARY"},
    "GIT_CONFIG_COUNT": {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.quotePath", "GIT_CONFIG_VALUE_0": "true"},
    "GIT_CONFIG_PARAMETERS": {"GIT_CONFIG_PARAMETERS": "'diff.noprefix'='true' 'status.short'='true'"},
    "output settings": {"GIT_CONFIG_PARAMETERS": "'color.ui'='always' 'log.date'='relative' 'core.abbrev'='4'"},
    "diff settings": {"GIT_CONFIG_PARAMETERS": "'diff.renames'='copies' 'diff.orderFile'='OUTSIDE/secret'"},
    "status settings": {"GIT_CONFIG_PARAMETERS": "'status.showUntrackedFiles'='no' 'status.branch'='true'"},
    "apply settings": {"GIT_CONFIG_PARAMETERS": "'core.autocrlf'='true' 'core.safecrlf'='true'"},
    "index settings": {"GIT_CONFIG_PARAMETERS": "'index.version'='4' 'core.untrackedCache'='true'"},
    "author without committer": {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@a"},
    "dates": {"GIT_AUTHOR_DATE": "nonsense", "GIT_COMMITTER_DATE": "2099-01-01T00:00:00Z"},
    "safe.bareRepository": {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.bareRepository",
        "GIT_CONFIG_VALUE_0": "explicit",
    },
    "locale": {"LC_ALL": "de_DE.UTF-8", "LANGUAGE": "de", "LANG": "de_DE.UTF-8"},
    "plain locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "LANG": "C"},
    "an odd terminal": {"TERM": "dumb", "COLUMNS": "1", "LINES": "1", "NO_COLOR": "1"},
    "no home": {"HOME": "/nonexistent"},
    "git flush": {"GIT_FLUSH": "0", "GIT_REFLOG_ACTION": "x\ny", "GIT_ICASE_PATHSPECS": "1"},
    "protocols": {"GIT_ALLOW_PROTOCOL": "https", "GIT_PROTOCOL": "version=0"},
    "literal attributes": {"GIT_ATTR_NOSYSTEM": "1", "GIT_ATTR_SOURCE": "HEAD"},
}


def repository() -> Iterator[Situation]:
    settings = {
        "core.bare": ("true", False),
        "core.worktree": ("OUTSIDE", False),
        "core.autocrlf": ("true", True),
        "core.fileMode": ("false", True),
        "core.symlinks": ("false", True),
        "core.ignoreCase": ("true", True),
        "core.untrackedCache": ("true", True),
        "core.logAllRefUpdates": ("false", True),
        "core.sparseCheckout": ("true", True),
        "core.abbrev": ("4", True),
        "core.quotePath": ("true", True),
        "core.compression": ("0", True),
        "core.bigFileThreshold": ("1", True),
        "core.checkStat": ("minimal", True),
        "core.trustctime": ("false", True),
        "core.preloadIndex": ("false", True),
        "core.protectNTFS": ("false", True),
        "core.commitGraph": ("false", True),
        "core.attributesFile": ("OUTSIDE/secret", True),
        "status.showUntrackedFiles": ("no", True),
        "status.submoduleSummary": ("true", True),
        "diff.ignoreSubmodules": ("all", True),
        "diff.noprefix": ("true", True),
        "diff.mnemonicPrefix": ("true", True),
        "diff.renames": ("copies", True),
        "diff.orderFile": ("OUTSIDE/secret", True),
        "merge.conflictStyle": ("zdiff3", True),
        "merge.ff": ("only", True),
        "log.follow": ("true", True),
        "log.date": ("relative", True),
        "log.mailmap": ("true", True),
        "feature.manyFiles": ("true", True),
        "index.sparse": ("true", True),
        "index.version": ("4", True),
        "submodule.recurse": ("true", True),
        "transfer.fsckObjects": ("true", True),
        "transfer.hideRefs": ("refs/", True),
        "gc.auto": ("1", True),
        "user.useConfigOnly": ("true", True),
        "commit.gpgSign": ("true", True),
        "tag.gpgSign": ("true", True),
        "push.gpgSign": ("true", True),
        "i18n.commitEncoding": ("latin1", True),
        "i18n.logOutputEncoding": ("latin1", True),
        "notes.displayRef": ("*", True),
        "notes.rewriteRef": ("refs/notes/*", True),
        "rerere.enabled": ("true", True),
        "worktree.guessRemote": ("true", True),
        "extensions.worktreeConfig": ("true", True),
        "receive.denyCurrentBranch": ("refuse", True),
        "safe.directory": ("", True),
        "format.pretty": ("%H %an", True),
        "color.ui": ("always", True),
        "column.ui": ("always", True),
        "blame.ignoreRevsFile": ("nowhere", True),
        "extensions.objectFormat": ("sha256", False),
        "core.repositoryFormatVersion": ("99", False),
        "extensions.unknown": ("true", True),
        "include.path": ("nowhere", True),
        "core.fsync": ("nonsense", True),
    }
    for key, (value, good) in settings.items():

        def act(world: World, key: str = key, value: str = value) -> None:
            set_config(world, key, value.replace("OUTSIDE", str(world.outside)))

        for phase in (Phase.NEW, Phase.APPROVED):
            yield Situation(f"{key}={value}, {phase}", act, phase, good_lands=good)
    simple: dict[str, tuple[Callable[[World], None], bool]] = {
        "target in another worktree": (_target_in_another_worktree, True),
        "main checkout detached": (_detached_main, True),
        "symbolic target": (_symbolic_target, True),
        "tags of the same names": (_tag_of_same_name, True),
        "branches named like refs": (_branch_named_like_refs, True),
        "uncommitted work in the main checkout": (_uncommitted_in_main, True),
        "file system without case": (_case_fold, True),
        "shallow repository": (_shallow, True),
        "split index": (_split_index, True),
        "sparse main checkout": (_sparse_main, True),
        "packed repository": (_packed, True),
        "borrowed objects": (_alternates, True),
        "read-only repository": (_read_only_repository, False),
    }
    for phase in (Phase.NEW, Phase.WORKED, Phase.APPROVED):
        for name, (act_on, good) in simple.items():
            yield Situation(f"{name}, {phase}", act_on, phase, good_lands=good)
        for operation in ("merge", "rebase", "cherry-pick", "revert", "bisect"):
            act = partial(in_the_middle, operation, "app")
            yield Situation(f"main checkout in the middle of a {operation}, {phase}", act, phase, good_lands=False)
        for name in ("index.lock", "HEAD.lock", "packed-refs.lock", "config.lock", "refs/heads/main.lock"):
            yield Situation(f"{name} left, {phase}", partial(lock_left, name), phase, good_lands=False)
        for name, variables in _ENVIRONMENTS.items():
            yield Situation(f"environment: {name}, {phase}", partial(_environment, variables), phase)
    yield Situation("git folder in another place", _git_folder_elsewhere, Phase.NEW)
    yield Situation("git folder behind a link", _git_folder_linked, Phase.NEW)
    yield Situation("repository behind a link, new", _moved_repository, Phase.NEW)
    for folder in ("worktrees/evil", "worktrees/evil/src", "app/.git", "app/src", "app/.git/worktrees"):
        yield Situation(f"started in {folder}", partial(_started_in, folder))

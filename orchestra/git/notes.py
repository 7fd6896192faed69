"""Notes of landed commits: what the agent wrote about its work, as ``git log --notes=orchestra`` shows it.

``git notes`` follows a symbolic ref, so that an agent could have it commit to the target. The note is added to a ref
that nothing else knows, and the result becomes ``refs/notes/orchestra`` without following it.
"""

from __future__ import annotations

import re
import secrets

from orchestra.git.git_process import Git
from orchestra.git.refs import NOTES, CommitId, RefName, RefUpdate, read_direct, update

_IDENT = re.compile(r"(?P<name>.*) <(?P<email>[^<>]*)> \d+ [+-]\d{4}", re.DOTALL)


def add_note(git: Git, commit: CommitId, text: str) -> None:
    """Set the note of ``commit``, as the user or, where git knows no user, as orchestra.

    The committer is the author, too: git may know the committer alone, from the environment.
    """
    ident = _IDENT.fullmatch(git.run("var", "GIT_COMMITTER_IDENT", ok=(0, 128)).text)
    name, email = (ident["name"], ident["email"]) if ident else ("orchestra", "orchestra@localhost")
    git = git.with_env(
        **{
            f"GIT_{role}_{part}": text
            for role in ("AUTHOR", "COMMITTER")
            for part, text in (("NAME", name), ("EMAIL", email))
        }
    )
    draft = RefName(f"{NOTES}-{secrets.token_hex(8)}")
    before = read_direct(git, NOTES)
    if before is not None:
        git.run("update-ref", "--no-deref", draft, before)
    else:
        git.run("update-ref", "--no-deref", "-d", NOTES)  # a symbolic ref, or nothing
    git.run("notes", f"--ref={draft}", "add", "-f", "-F", "-", commit, stdin=text.encode("utf-8", "surrogateescape"))
    after = read_direct(git, draft)
    update(git, [RefUpdate(NOTES, after, before), RefUpdate(draft, None, after)], reason="add a note")

"""Notes of landed commits: what the agent wrote about its work, as ``git log --notes=orchestra`` shows it.

``git notes`` follows a symbolic ref, so that an agent could have it commit to the target, and writes one note a call.
Here ``git fast-import`` writes one commit with all notes of a landing, to no ref; the caller then moves
``refs/notes/orchestra`` to it by compare-and-swap.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Mapping

from orchestra.git.git_process import Git
from orchestra.git.objects import our_ident
from orchestra.git.refs import NOTES, CommitId, RefUpdate

_MESSAGE = b"Notes of landed commits\n"


def write_notes(git: Git, notes: Mapping[CommitId, str]) -> RefUpdate:
    """Write a commit that sets the notes of ``notes``' commits; return the update of the ref that is still to be made.

    The committer is the user or, where git knows no user, orchestra.
    """
    listed = git.run("for-each-ref", "--format=%(objectname) %(objecttype)%(if)%(symref)%(then) symbolic%(end)", NOTES)
    before = CommitId(listed.text.removesuffix(" commit")) if listed.text.endswith(" commit") else None
    if before is None and (listed.text or listed.stderr):  # a symbolic or damaged ref, or one that holds no commit
        git.run("update-ref", "--no-deref", "-d", NOTES)
    ident = git.run("var", "GIT_COMMITTER_IDENT", ok=(0, 128))
    committer = ident.stdout.rstrip(b"\n") if ident.code == 0 else our_ident(int(time.time()))
    # A name that only fast-import knows, and is reset before it would be written. It cannot be guessed, since git would
    # delete what a symbolic ref of that name points to.
    draft = f"{NOTES}-{secrets.token_hex(16)}".encode()
    script = [b"commit ", draft, b"\nmark :1\ncommitter ", committer, b"\n", _data(_MESSAGE)]
    script += [b"from ", before.encode(), b"\n"] if before else []
    for commit, text in notes.items():
        content = text.encode("utf-8", "surrogateescape")
        script += [b"N inline ", commit.encode(), b"\n", _data(content if content.endswith(b"\n") else content + b"\n")]
    script += [b"get-mark :1\nreset ", draft, b"\nfrom ", b"0" * len(next(iter(notes))), b"\n\ndone\n"]
    with tempfile.TemporaryFile() as file:  # not a pipe: fast-import writes a crash report where a kill cuts it off
        file.write(b"".join(script))
        file.seek(0)
        return RefUpdate(NOTES, CommitId(git.text("fast-import", "--quiet", "--done", stdin=file)), before)


def _data(content: bytes) -> bytes:
    return b"data %d\n%s" % (len(content), content)

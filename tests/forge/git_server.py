"""A git server over HTTP on this machine: ``git http-backend`` behind a small server, with a protected main.

``main`` refuses every push, by a pre-receive hook. The forge merges there with plain git, in the three ways that
forges have.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from tests.conftest import Checkout

PROTECTED = """\
#!/bin/sh
while read -r old new ref; do
    if [ "$ref" = refs/heads/main ]; then
        echo "main is protected: changes must be made through a pull request" >&2
        exit 1
    fi
    echo "$ref" >>pushed-refs
done
"""


class _Handler(BaseHTTPRequestHandler):
    root: Path

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _serve(self, body: bytes) -> None:
        url = urlsplit(self.path)
        env = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "ada",
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = [line.decode().partition(": ")[::2] for line in head.split(b"\r\n") if line]
        status = next((int(value.split()[0]) for name, value in fields if name == "Status"), 200)
        self.send_response(status)
        for name, value in fields:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class GitServer:
    """Serves ``root``/acme/shop.git; ``bare`` is that repository."""

    def __init__(self, root: Path, checkout: Checkout) -> None:
        folder = root / "acme" / "shop.git"
        folder.parent.mkdir(parents=True)
        checkout.git("clone", "-q", "--bare", str(checkout.path), str(folder))
        self.bare = Checkout(folder)
        self.bare.git("config", "http.receivepack", "true")
        hook = folder / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(PROTECTED, "utf-8")
        hook.chmod(0o755)
        handler = type("Handler", (_Handler,), {"root": root})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._http.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/acme/shop.git"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def tip(self, branch: str) -> str:
        return self.bare.git("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", ok=False)

    def pushed_refs(self) -> set[str]:
        """Return every ref that a push has changed."""
        file = self.bare.path / "pushed-refs"
        return set(file.read_text("utf-8").split()) if file.exists() else set()

    def commit(self, branch: str, name: str, content: str = "theirs\n", *, onto: str | None = None) -> str:
        """Commit a file directly to a branch of the server, as somebody else would through the forge."""
        parent = self.tip(onto or branch)
        blob = self.bare.git("hash-object", "-w", "--stdin", stdin=content.encode())
        rows = [row for row in self.bare.git("ls-tree", parent).splitlines() if not row.endswith(f"\t{name}")]
        tree = self.bare.git("mktree", stdin="\n".join([*rows, f"100644 blob {blob}\t{name}", ""]).encode())
        commit = self.bare.git("commit-tree", tree, "-p", parent, "-m", f"add {name}")
        self.bare.git("update-ref", f"refs/heads/{branch}", commit)
        return commit

    def merge(self, branch: str, method: str) -> str:
        """Merge a branch into main as a forge does: ``merge``, ``squash`` or ``rebase``; return main's new tip."""
        main, head = self.tip("main"), self.tip(branch)
        if method == "rebase":
            commit = self._rebase(branch)
        else:
            tree = self.bare.git("merge-tree", "--write-tree", main, head)
            parents = ["-p", main, *(["-p", head] if method == "merge" else [])]
            commit = self.bare.git("commit-tree", tree, *parents, "-m", f"{method} {branch} (#12)")
        self.bare.git("update-ref", "refs/heads/main", commit, main)
        return commit

    def _rebase(self, branch: str) -> str:
        place = Checkout(self.bare.path.parent / "rebasing")
        self.bare.git("worktree", "add", "-q", "--detach", str(place.path), branch)
        committer = ["-c", "user.name=Forge", "-c", "user.email=noreply@forge.example"]
        place.git(*committer, "rebase", "-q", "--force-rebase", "main")
        commit = place.git("rev-parse", "HEAD")
        self.bare.git("worktree", "remove", "--force", str(place.path))
        return commit


PYTHON = sys.executable

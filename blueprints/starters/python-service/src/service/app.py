"""The HTTP server. GET /health answers while the process runs."""

import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from service import __version__


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = self.path == "/health"
        document = {"status": "ok", "version": __version__} if found else {"code": "not-found"}
        body = json.dumps(document).encode()
        self.send_response(HTTPStatus.OK if found else HTTPStatus.NOT_FOUND)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing here: structured logging is the service's own task."""


def create_server(host: str, port: int) -> ThreadingHTTPServer:
    """Bind to the address without serving yet; port 0 takes a free one."""
    return ThreadingHTTPServer((host, port), Handler)

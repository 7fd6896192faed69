import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from service import __version__
from service.app import create_server


@pytest.fixture
def connection() -> Iterator[HTTPConnection]:
    server = create_server("127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    server.shutdown()
    thread.join()
    server.server_close()


def test_health_answers_with_the_version(connection: HTTPConnection) -> None:
    connection.request("GET", "/health")
    response = connection.getresponse()
    assert response.status == 200
    assert json.load(response) == {"status": "ok", "version": __version__}


def test_an_unknown_path_is_not_found(connection: HTTPConnection) -> None:
    connection.request("GET", "/nothing")
    assert connection.getresponse().status == 404

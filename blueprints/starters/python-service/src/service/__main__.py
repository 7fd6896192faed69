"""Run the service: ``python -m service``. PORT names its port."""

import os
import signal
import threading
from types import FrameType

from service.app import create_server

server = create_server("0.0.0.0", int(os.environ.get("PORT", "8000")))


def stop(number: int, frame: FrameType | None) -> None:
    threading.Thread(target=server.shutdown).start()


signal.signal(signal.SIGTERM, stop)
server.serve_forever()

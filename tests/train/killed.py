"""Runs one merge of a yard and kills it at its n-th step that touches the disk or starts a process.

``python -m tests.train.killed PICKLE N [group]``: N 0 counts the steps, prints the number and ends well. The steps are
found by Python's audit events, so nothing in the product knows of them.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from pathlib import Path
from types import MappingProxyType

_ALWAYS = {
    "subprocess.Popen",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "shutil.rmtree",
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Counter:
    """Counts steps from ``armed`` on; kills this process at number ``last``, with its group if so asked."""

    def __init__(self, last: int, *, group: bool) -> None:
        self.count, self._last, self._group, self.armed = 0, last, group, False

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.armed or not self._counts(event, arguments):
            return
        self.count += 1
        if self.count == self._last:
            if self._group:
                os.killpg(0, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    def _counts(self, event: str, arguments: tuple[object, ...]) -> bool:
        if event != "open":
            return event in _ALWAYS
        flags = arguments[2]
        return isinstance(flags, int) and bool(flags & _WRITING) and not str(arguments[0]).endswith((".pyc", ".db"))


def frozen(values: dict[object, object]) -> MappingProxyType[object, object]:
    """What a pickled mapping proxy is made of again."""
    return MappingProxyType(values)


def main() -> None:
    counter = Counter(int(sys.argv[2]), group=sys.argv[3:] == ["group"])
    sys.addaudithook(counter)
    from orchestra.train.merge import merge

    fleet = pickle.loads(Path(sys.argv[1]).read_bytes())  # noqa: S301 - written by the test that runs us
    counter.armed = True
    merge(fleet)
    counter.armed = False
    sys.stdout.write(f"{counter.count}\n")


if __name__ == "__main__":
    main()

"""What it costs to record and check what a set-up made in a gate slot: a node_modules of 20,000 files.

``python benchmarks/setup_files.py [FILES]`` prints CPU and wall seconds, the best of five runs.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from orchestra.train.setup_manifest import record_files, reset_files


def best(work: Callable[[], object]) -> str:
    """Run ``work`` five times; return the best CPU and wall time."""
    times = []
    for _ in range(5):
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        times.append((time.process_time() - cpu, time.perf_counter() - wall))
    return f"{min(cpu for cpu, _ in times):.3f} CPU s, {min(wall for _, wall in times):.3f} s"


def main(files: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number in range(files):
            place = root / f"node_modules/package-{number // 40}/lib"
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{number}.js").write_text(f"module.exports = {number}\n" * 20, "utf-8")
        rows = record_files(root, ["node_modules/"], None)
        print(f"{files} files, {len(rows)} rows")
        print("record:", best(lambda: record_files(root, ["node_modules/"], None)))
        print("check: ", best(lambda: reset_files(root, ["node_modules/"], rows, None)))
        text = json.dumps(rows)
        print("read:  ", best(lambda: json.loads(text)), f"{len(text) / 1e6:.1f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)

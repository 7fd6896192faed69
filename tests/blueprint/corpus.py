"""The corpus of broken blueprints, each with its whole error message.

A case is ``broken/NAME.yaml``, or ``broken/NAME/blueprint.yaml`` where it takes several files; what is expected of it
is ``expected/NAME.txt``. After a change of words read the difference that this leaves in git:

    python -m tests.blueprint.corpus
"""

from __future__ import annotations

from pathlib import Path

from orchestra.blueprint.load import load_blueprint
from orchestra.errors import BlueprintError

HERE = Path(__file__).resolve().parent
BROKEN = HERE / "broken"
EXPECTED = HERE / "expected"


def cases() -> list[str]:
    names = [entry.stem for entry in BROKEN.glob("*.yaml")]
    return sorted(names + [entry.name for entry in BROKEN.iterdir() if entry.is_dir()])


def blueprint_of(case: str) -> Path:
    folder = BROKEN / case
    return folder / "blueprint.yaml" if folder.is_dir() else BROKEN / f"{case}.yaml"


def error_text(case: str) -> str:
    """Return the error message of a case, paths relative to the corpus. Raises AssertionError where it is valid."""
    try:
        load_blueprint(blueprint_of(case))
    except BlueprintError as error:
        return f"{error.message}\n".replace(f"{BROKEN}/", "")
    raise AssertionError(f"{case} is no broken blueprint")


def update() -> None:
    """Write the current messages, and delete those of removed cases."""
    EXPECTED.mkdir(exist_ok=True)
    for old in EXPECTED.glob("*.txt"):
        if old.stem not in cases():
            old.unlink()
    for case in cases():
        (EXPECTED / f"{case}.txt").write_text(error_text(case), encoding="utf-8")


if __name__ == "__main__":
    update()

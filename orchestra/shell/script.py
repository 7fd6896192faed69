"""A blueprint as two shell scripts that need nothing but git and a POSIX shell.

``orchestrate.sh`` is spawn, status, start and clean; ``merge-helper.sh`` is verdicts and the train. The steps are
written once, as plain shell, in ``parts/``; here they are put in reading order around what the blueprint declares.
Invariant: the same blueprint gives the same bytes. Refuses (UsageError) what no script can do as declared.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib.resources import files

from orchestra import __version__
from orchestra.shell import declared
from orchestra.shell.material import Material
from orchestra.shell.programs import program
from orchestra.shell.quoting import comment, quote

ORCHESTRATE, MERGE_HELPER = "orchestrate.sh", "merge-helper.sh"
_SPAWN_PARTS = ("spawn", "status", "start", "clean")
_TRAIN_PARTS = ("train", "review", "gates", "slot")
_LANDING_PARTS = ("conflicts", "land", "checkout", "verdicts")
_COMMON_PARTS = ("standing", "notes", "worktrees", "belongings", "jobs", "ground")
_RULE = 117  # columns of a section's title


def scripts(material: Material) -> dict[str, str]:
    """File name -> text, of both scripts. Each carries a digest of both, so that two versions never mix unnoticed."""
    digest = hashlib.sha256(repr(_written(material, "")).encode())
    return _written(material, f"{material.blueprint.name} {__version__} {digest.hexdigest()[:12]}")


def _written(material: Material, identity: str) -> dict[str, str]:
    made = {ORCHESTRATE: _orchestrate(material, identity), MERGE_HELPER: _merge_helper(material, identity)}
    return {name: "\n\n".join(sections) + "\n" for name, sections in made.items()}


def _orchestrate(material: Material, identity: str) -> tuple[str, ...]:
    blueprint = material.blueprint
    return (
        _header(ORCHESTRATE, material),
        _part("orchestrate"),
        _title("The fleet, as the blueprint declares it"),
        declared.identity("_orchestrate_identity", identity),
        declared.fleet_values(material, identity),
        declared.agents_table(blueprint.agents),
        declared.setup(blueprint),
        declared.agent_variables(blueprint),
        program(blueprint),
        *map(_part, (*_SPAWN_PARTS, *_COMMON_PARTS)),
        _title("The files of the agents"),
        declared.instructions(blueprint),
        declared.files_table(material),
        _end("_orchestrate_run", f"{ORCHESTRATE} of {identity}"),
    )


def _merge_helper(material: Material, identity: str) -> tuple[str, ...]:
    blueprint = material.blueprint
    return (
        _header(MERGE_HELPER, material),
        _part("merge-helper"),
        _title("The fleet, as the blueprint declares it"),
        declared.identity("_merge_helper_identity", identity),
        declared.fleet_values(material, identity),
        declared.agents_table(blueprint.agents),
        declared.merge_order(blueprint),
        declared.scopes(blueprint),
        declared.conflict_rules(blueprint.merge.conflicts),
        declared.kept_out(blueprint),
        declared.gates(blueprint),
        declared.setup(blueprint),
        declared.slot_variables(blueprint),
        *map(_part, (*_TRAIN_PARTS, "candidate", blueprint.merge.strategy, *_LANDING_PARTS, *_COMMON_PARTS)),
        _end("_merge_helper_run", f"{MERGE_HELPER} of {identity}"),
    )


def _part(name: str) -> str:
    """Steps that no blueprint changes."""
    return (files("orchestra.shell") / "parts" / f"{name}.sh").read_text("utf-8").rstrip("\n")


def _title(text: str) -> str:
    return f"# ==== {text} ".ljust(_RULE, "=")


def _header(name: str, material: Material) -> str:
    blueprint = material.blueprint
    values = {"FLEET": blueprint.name, "TITLE": blueprint.title, "SOURCE": material.source, "VERSION": __version__}
    return _filled(f"header-{name.removesuffix('.sh')}", {key: comment(value) for key, value in values.items()})


def _end(run: str, mark: str) -> str:
    return _filled("end", {"RUN": run, "MARK": quote(mark)})


def _filled(name: str, values: Mapping[str, str]) -> str:
    """A part with its ``@NAME@`` marks replaced, once: what a value holds is not looked at again."""
    return re.sub("@([A-Z]+)@", lambda found: values[found[1]], _part(name))

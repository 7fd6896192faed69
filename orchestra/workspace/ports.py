"""Give ports to agents and gate slots: stable, free when they are given, never the same one twice on this machine.

The ports of an agent are recorded in its state folder when it is spawned, and looked up from then on. A registry below
the user's state folder, shared by all repositories, says which record a port belongs to. An entry holds while its
record lists the port, or while the process lives that is about to write the record; ``clean`` deletes the record.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from orchestra.blueprint.model import Agent, AgentName
from orchestra.errors import GroundError
from orchestra.files import LONGEST_RECORD, read_regular, write_atomically
from orchestra.fleet import PORTS_RECORD, Fleet, read_ports
from orchestra.git.lock import exclusive
from orchestra.workspace.paths import user_state_folder

FIRST_PORT, LAST_PORT = 20_000, 29_999  # below the ports that Linux and macOS give to outgoing connections
_WAIT_S = 30.0
_ADDRESSES = ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"))  # noqa: S104 - bound for an instant, to probe


@dataclass(frozen=True, slots=True)
class _Entry:
    """Who has a port: the file that records it, and the process that gave it."""

    record: Path
    pid: int


def with_ports(fleet: Fleet, agents: Collection[AgentName] | None = None, *, reserve: bool = False) -> Fleet:
    """Return the fleet with a port for each name in ``setup.ports`` of these agents (None: all).

    Agents keep the ports that are recorded. ``reserve``: the registry keeps new ones for this process until
    ``record_ports`` is called; without it, nothing is written. Raises LockHeld.
    """
    names = fleet.blueprint.worktrees.setup.ports
    chosen = [a for a in fleet.blueprint.agents if not a.adopted and (agents is None or a.name in agents)]
    if not names or not chosen:
        return fleet
    holders = {_record(fleet, agent): agent.ports for agent in chosen}
    ports = dict(zip((agent.name for agent in chosen), _assign(names, holders, reserve=reserve), strict=True))
    members = tuple(
        replace(agent, ports=MappingProxyType(ports[agent.name])) if agent.name in ports else agent
        for agent in fleet.blueprint.agents
    )
    return replace(fleet, blueprint=replace(fleet.blueprint, agents=members))


def ports_to_record(fleet: Fleet, agent: Agent) -> Mapping[str, int]:
    """Return the agent's ports where its record lacks one of them, else nothing."""
    recorded = read_ports(_record(fleet, agent))
    return agent.ports if any(recorded.get(name) != port for name, port in agent.ports.items()) else {}


def record_ports(fleet: Fleet, agent: Agent) -> None:
    """Record the agent's ports, which are its own from now on."""
    _write_record(_record(fleet, agent), agent.ports)


def slot_ports(fleet: Fleet, number: int) -> dict[str, int]:
    """Return the ports of a gate slot, reserved and recorded when they are first asked for."""
    names = fleet.blueprint.worktrees.setup.ports
    if not names:
        return {}
    record = slot_records(fleet) / f"{number}.json"
    [ports] = _assign(names, {record: read_ports(record)}, reserve=True)
    _write_record(record, ports)
    return ports


def slot_records(fleet: Fleet) -> Path:
    """Return the folder with the records of the gate slots' ports; deleting it gives the ports back."""
    return fleet.folder / "slot-ports"


def format_ports(ports: Mapping[str, int]) -> str:
    """Return ``WEB=20000, DB=20001``."""
    return ", ".join(f"{name}={port}" for name, port in ports.items())


def _record(fleet: Fleet, agent: Agent) -> Path:
    return fleet.agent_folder(agent.name) / PORTS_RECORD


def _write_record(record: Path, ports: Mapping[str, int]) -> None:
    # Names that the blueprint no longer declares go: their ports are free again.
    write_atomically(record, json.dumps(dict(ports)) + "\n")


# -- the registry -------------------------------------------------------------------------------------------------


def _assign(
    names: Sequence[str], holders: Mapping[Path, Mapping[str, int]], *, reserve: bool
) -> Iterator[dict[str, int]]:
    """Return the ports of each holder, a record file -> the ports that it has, in their order."""
    folder = user_state_folder() / "ports"
    with _locked(folder) if reserve else nullcontext():
        registry = _read_registry(folder)
        assigned: list[dict[str, int]] = []
        # What each holder has already comes first, so that nothing new takes it.
        for record, recorded in holders.items():
            kept = {
                name: port
                for name, port in recorded.items()
                if name in names and (port not in registry or registry[port].record == record)
            }
            registry |= {port: _Entry(record, os.getpid()) for port in kept.values()}
            assigned.append(kept)
        free_ports = (port for port in range(FIRST_PORT, LAST_PORT + 1) if port not in registry and _is_free(port))
        for number, record in enumerate(holders):
            for name in names:
                if name not in assigned[number]:
                    port = next(free_ports, None)
                    if port is None:
                        raise GroundError(
                            f"no port from {FIRST_PORT} to {LAST_PORT} is free",
                            hint=f"orchestra clean gives ports back; {folder / 'ports.json'} lists who has them",
                        )
                    assigned[number][name] = port
                    registry[port] = _Entry(record, os.getpid())
        if reserve:
            rows = {str(port): {"record": str(entry.record), "pid": entry.pid} for port, entry in registry.items()}
            write_atomically(folder / "ports.json", json.dumps(rows, indent=1, sort_keys=True) + "\n")
    return iter([{name: ports[name] for name in names} for ports in assigned])


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        with exclusive(folder, "spawn", wait_s=_WAIT_S):
            yield
    except OSError as error:
        raise GroundError(
            f"the ports of this machine's agents cannot be recorded in {folder}: {error.strerror}",
            hint="make the folder writable, or set XDG_STATE_HOME to another one",
        ) from error


def _read_registry(folder: Path) -> dict[int, _Entry]:
    """Return the entries that hold. A registry that cannot be read counts as empty: ports are probed as well."""
    try:
        rows = json.loads(read_regular(folder / "ports.json", most=LONGEST_RECORD) or b"{}")
        entries = {int(port): _Entry(Path(row["record"]), int(row["pid"])) for port, row in rows.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {port: entry for port, entry in entries.items() if _holds(port, entry)}


def _holds(port: int, entry: _Entry) -> bool:
    if port in read_ports(entry.record).values():
        return True
    # A process that reserved it and has not come to write the record yet.
    return entry.pid != os.getpid() and _is_alive(entry.pid)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _is_free(port: int) -> bool:
    """Return whether no process listens on the port, on any address of this machine."""
    for family, address in _ADDRESSES:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address, port))
        except OSError as error:
            if family == socket.AF_INET6 and error.errno not in (errno.EADDRINUSE, errno.EACCES):
                continue  # a machine without IPv6
            return False
    return True

"""``orchestra report``: the fleet as one HTML page."""

from __future__ import annotations

from pathlib import Path

from orchestra.cli.call import Call
from orchestra.cli.console import Tone, print_note, print_result, progress, show_json
from orchestra.cli.program import task
from orchestra.errors import ExitCode, GroundError


@task(
    help={"output": "FILE: Where to write the page. Default: report.html in the fleet's folder below .git/orchestra."},
    examples=("report", "report --output=fleet.html", "report --json >fleet.json"),
)
def report(call: Call, output: str | None = None) -> ExitCode:
    """Write the fleet's report as one HTML page.

    What landed, was evicted and discarded, time and cost; a timeline; the candidates of each train and what was
    decided; the merge order; conflicts between branches; for each agent its task, notes, changes, findings, gates and
    the end of its log. The page needs no network and runs no script, and everything that agents wrote is shown as plain
    text. With --json the data is printed, and the page is written only where --output names it.
    """
    from orchestra.files import write_atomically
    from orchestra.report.fleet_report import read_report
    from orchestra.report.html_page import render_page

    fleet = call.load_fleet()
    path = Path(output).resolve() if output else fleet.folder / "report.html"
    if path.is_dir():
        raise GroundError(f"{path} is a folder", hint=f"orchestra report --output={path / f'{fleet.name}.html'}")
    with progress("report") as step:
        made = read_report(fleet, step)
    if made.unknown:
        print_note(made.unknown, Tone.WAITING)
    if output or not call.json:
        page = render_page(made)
        write_atomically(path, page)
    if call.json:
        show_json(made.to_json())
        return ExitCode.DONE
    print_result(f"{path} ({len(page) / 1024:,.0f} KB)")
    print_result(f"next: open {path.as_uri()} in a browser")
    return ExitCode.DONE

"""`python -m mosaic_deploy.platform COMMAND`: prints one JSON document on stdout and exits with 0 or 1."""

from __future__ import annotations

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing has begun while the program is imported

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mosaic_deploy.installed import install_command
from mosaic_deploy.platform.cluster import commands as cluster_commands
from mosaic_deploy.platform.daemon import control
from mosaic_deploy.platform.daemon.report import reporter
from mosaic_deploy.platform.faults import ProcessFault, fault_from_os_error
from mosaic_deploy.platform.machine import state_folder

_PROGRESS_SECONDS = 0.2
"""Shortest time between two progress lines."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        document = _run(options)
    except ProcessFault as fault:
        _print_json(fault.document())
        return 1
    except OSError as error:
        _print_json(fault_from_os_error(error).document())
        return 1
    if document is not None:
        _print_json(document)
    return 0


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    """The document to print; None if the command prints its own."""
    folder = state_folder.home_folder()
    commands: dict[str, Callable[[], dict[str, Any] | None]] = {
        "start": lambda: control.start(folder, options.port),
        "stop": lambda: control.stop(folder),
        "status": lambda: control.status(folder),
        "reset": lambda: control.reset(folder, options.project),
        "key": lambda: control.rotate_key(folder) if options.rotate else control.show_key(folder),
        "open": lambda: control.open_dashboard(folder),
        "psql": lambda: control.find_psql(folder),
        "backup": lambda: _backup_or_restore(options, folder),
        "restore": lambda: _backup_or_restore(options, folder),
        "leftovers": lambda: _leftovers(options),
        "serve": lambda: _serve(options),
        **dict.fromkeys(cluster_commands.COMMANDS, lambda: cluster_commands.run(options)),
    }
    return commands[options.command]()


def _leftovers(options: argparse.Namespace) -> dict[str, Any]:
    from mosaic_deploy.platform.daemon import leftovers

    return leftovers.remove_leftovers(options.remove) if options.remove else leftovers.find_leftovers()


def _backup_or_restore(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from mosaic_deploy.platform.daemon import backup

    act = backup.backup if options.command == "backup" else backup.restore
    on_progress = _progress_printer() if options.progress else None
    return act(folder, Path(options.file).absolute(), overwrite=options.overwrite, on_progress=on_progress)


def _progress_printer() -> Callable[[int, int], None]:
    """Prints bytes done and bytes in total as one JSON line, a few times a second."""
    last_printed = 0.0

    def on_progress(done: int, total: int) -> None:
        nonlocal last_printed
        now = time.monotonic()
        if now - last_printed >= _PROGRESS_SECONDS or done >= total:
            last_printed = now
            _print_json({"done": done, "total": total})

    return on_progress


def _serve(options: argparse.Namespace) -> None:
    report = reporter(options.report_to)
    try:
        # Imports the web server and the database driver, which only the daemon needs.
        from mosaic_deploy.platform.daemon import main as serve
    except ImportError as error:
        fault = ProcessFault(
            "local_not_installed",
            f"the embedded platform needs the package {error.name}, which isn't installed",
            install_command("local"),
        )
        report(fault.document())
        raise fault from error
    serve.configure_logging(state_folder.home_folder() if options.report_to is not None else None)
    try:
        serve.serve(state_folder.home_folder(), options.port, report)
    except ProcessFault as fault:
        report(fault.document())
        raise
    except OSError as error:
        report(fault_from_os_error(error).document())
        raise


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mosaic_deploy.platform", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("start", "start in the background and wait until healthy"),
        ("stop", "stop the platform and its PostgreSQL"),
        ("status", "show whether it is running"),
        ("reset", "delete all data, or one project"),
        ("key", "show the API key, or replace it"),
        ("open", "create a link that opens the dashboard in a browser"),
        ("psql", "show where PostgreSQL's psql is, and the variables that it needs"),
        ("backup", "back up everything to one file"),
        ("restore", "restore a backup"),
        ("leftovers", "list PostgreSQL's folders whose platform is gone, or delete some"),
        ("serve", "run in the foreground"),
    ):
        command = commands.add_parser(name, help=text)
        if name in ("start", "serve"):
            command.add_argument("--port", type=_port)
        if name == "serve":
            command.add_argument("--report-to", type=int, help=argparse.SUPPRESS)
        if name in ("backup", "restore"):
            command.add_argument("file", metavar="FILE")
            command.add_argument("--overwrite", action="store_true")
            command.add_argument("--progress", action="store_true", help="print progress as JSON lines first")
        if name == "key":
            command.add_argument("--rotate", action="store_true")
        if name == "leftovers":
            command.add_argument("--remove", action="append", metavar="FOLDER")
        if name == "reset":
            command.add_argument("--project", metavar="ID")
    cluster_commands.add_commands(commands)
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError("the port must be from 1 to 65535")
    return port


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = main()
        sys.stdout.flush()
        sys.stderr.flush()
    except KeyboardInterrupt:
        code = 130
    # obstore has threads of its own; one that returns during the interpreter's shutdown aborts the process.
    os._exit(code)

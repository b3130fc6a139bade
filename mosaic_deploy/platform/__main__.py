"""`python -m mosaic_deploy.platform`: one command, one JSON document on stdout, exit code 0 or 1."""

from __future__ import annotations

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
from mosaic_deploy.platform.faults import ProcessFault, refused_by_system
from mosaic_deploy.platform.machine import state_folder

_BETWEEN = 0.2
"""Seconds between two words of how far a copy is."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        document = _run(options)
    except ProcessFault as fault:
        _print(fault.document())
        return 1
    except OSError as error:
        _print(refused_by_system(error).document())
        return 1
    if document is not None:
        _print(document)
    return 0


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    """The command's document, or None where it says everything itself."""
    folder = state_folder.home_folder()
    commands: dict[str, Callable[[], dict[str, Any] | None]] = {
        "start": lambda: control.start(folder, options.port),
        "stop": lambda: control.stop(folder),
        "status": lambda: control.status(folder),
        "reset": lambda: control.reset(folder, options.project),
        "key": lambda: control.rotate_key(folder) if options.rotate else control.show_key(folder),
        "open": lambda: control.open_pages(folder),
        "backup": lambda: _copy(options, folder),
        "restore": lambda: _copy(options, folder),
        "serve": lambda: _serve(options),
        **dict.fromkeys(cluster_commands.COMMANDS, lambda: cluster_commands.run(options)),
    }
    return commands[options.command]()


def _copy(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from mosaic_deploy.platform.daemon import backup

    act = backup.backup if options.command == "backup" else backup.restore
    heard = _telling() if options.progress else None
    return act(folder, Path(options.file).absolute(), overwrite=options.overwrite, heard=heard)


def _telling() -> Callable[[int, int], None]:
    """Prints bytes done and of how many, a few times a second, for whoever follows."""
    said = 0.0

    def heard(done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= _BETWEEN or done >= total:
            said = now
            _print({"done": done, "total": total})

    return heard


def _serve(options: argparse.Namespace) -> None:
    report = reporter(options.report_to)
    try:
        # Web server and database driver: only the daemon needs them.
        from mosaic_deploy.platform.daemon import main as serve
    except ImportError as error:
        fault = ProcessFault(
            "local_not_installed",
            f"the embedded platform needs a package that isn't installed: {error.name}",
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
        report(refused_by_system(error).document())
        raise


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mosaic_deploy.platform", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("start", "start in the background and wait until healthy"),
        ("stop", "stop, leaving no process"),
        ("status", "what runs, or last ran"),
        ("reset", "delete everything, or one project"),
        ("key", "show the API key, or make a new one"),
        ("open", "make a link that opens the pages in a browser"),
        ("backup", "write everything into one file"),
        ("restore", "put back what such a file holds"),
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
            command.add_argument(
                "--progress", action="store_true", help="tell first how far it is, line by line"
            )
        if name == "key":
            command.add_argument("--rotate", action="store_true")
        if name == "reset":
            command.add_argument("--project", metavar="ID")
    cluster_commands.add_commands(commands)
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return port


def _print(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # The object store's library has threads of its own. One that comes back while the interpreter takes itself
    # apart aborts the process, after all is done; so it isn't taken apart.
    os._exit(code)

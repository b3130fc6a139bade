"""`python -m mosaic_deploy.platform`: one command, one JSON document on stdout, exit code 0 or 1."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from mosaic_deploy.platform import home, process
from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.report import reporter


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        document = _run(options)
    except ProcessFault as fault:
        _print(fault.document())
        return 1
    if document is not None:
        _print(document)
    return 0


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    folder = home.home_folder()
    match options.command:
        case "start":
            return process.start(folder, options.port)
        case "stop":
            return process.stop(folder)
        case "status":
            return process.status(folder)
        case "reset":
            return process.reset(folder, options.project)
    _serve(options)
    return None


def _serve(options: argparse.Namespace) -> None:
    report = reporter(options.report_to)
    try:
        # Web server and database driver: only the daemon needs them.
        from mosaic_deploy.platform import serve
    except ImportError as error:
        fault = ProcessFault(
            "local_not_installed",
            f"the embedded platform needs a package that isn't installed: {error.name}",
            "pip install 'mosaic-deploy[local]'",
        )
        report(fault.document())
        raise fault from error
    serve.configure_logging()
    try:
        serve.serve(home.home_folder(), options.port, report)
    except ProcessFault as fault:
        report(fault.document())
        raise


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mosaic_deploy.platform", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("start", "start in the background and wait until healthy"),
        ("stop", "stop, leaving no process"),
        ("status", "what runs, or last ran"),
        ("reset", "delete everything, or one project"),
        ("serve", "run in the foreground"),
    ):
        command = commands.add_parser(name, help=text)
        if name in ("start", "serve"):
            command.add_argument("--port", type=_port)
        if name == "serve":
            command.add_argument("--report-to", type=int, help=argparse.SUPPRESS)
        if name == "reset":
            command.add_argument("--project", metavar="ID")
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
    sys.exit(main())

"""The command `mosaic-deploy`."""

from __future__ import annotations

import gc
import signal
import sys

_BETWEEN_COLLECTIONS = 50_000
"""Startup allocates about this many long-lived objects; collecting garbage among them took 8 % of `validate`."""


def main() -> None:
    """Runs the command line and exits with its code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing has begun while the program is imported
    from mosaic_deploy.cli.terminal import interrupts, streams

    streams.prepare()
    if sys.argv[1:] in (["--version"], ["version"]):
        # Without importing the rest of the program.
        from mosaic_deploy.version import __version__

        sys.stdout.write(f"mosaic-deploy {__version__}\n")
        if streams.flush_stdout():
            streams.redirect_to_null(1)
            sys.exit(1)
        return
    gc.set_threshold(_BETWEEN_COLLECTIONS)
    from mosaic_deploy.cli.main import run

    # CI systems stop jobs with SIGTERM, and a closed terminal sends SIGHUP. Like Ctrl-C, they end in an error that says so.
    interrupts.raise_on_signals()
    code = run(sys.argv[1:])
    interrupts.end_on_signals()
    # CPython ends with SIGINT instead of the exit code if an interrupt fell into an exec of text, such as a dataclass's;
    # the next exec forgets that.
    exec("")  # noqa: S102
    sys.exit(code)


if __name__ == "__main__":
    main()

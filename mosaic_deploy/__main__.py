"""The command `mosaic-deploy`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line and exits with its code."""
    if sys.argv[1:] == ["--version"]:
        # The answer to the most frequent question, without importing the program.
        from mosaic_deploy.version import __version__

        sys.stdout.write(f"mosaic-deploy {__version__}\n")
        return
    from mosaic_deploy.cli.main import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()

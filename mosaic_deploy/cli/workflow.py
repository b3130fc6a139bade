"""The GitHub workflow that `init --github` writes."""

from __future__ import annotations

import shlex

from mosaic_deploy.version import __version__

# By commit: what a tag names can change.
_CHECKOUT = "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0"
_SETUP_PYTHON = "actions/setup-python@e797f83bcb11b83ae66e0230d6156d7c80228e7c # v6.0.0"

_TEXT = f"""\
# Plans on pull requests, applies on push to the main branch.
# It needs your API key as the repository secret MOSAIC_API_KEY; update it when the key rotates.
name: Mosaic

on:
  pull_request:
  push:
    branches: [main]

permissions:
  contents: read
  pull-requests: write

# One at a time, and none is cancelled half-way.
concurrency:
  group: mosaic-${{{{ github.event_name == 'pull_request' && github.ref || 'deploy' }}}}
  cancel-in-progress: false

jobs:
  mosaic:
    runs-on: ubuntu-latest
    timeout-minutes: 60
    steps:
      - uses: {_CHECKOUT}
      - uses: {_SETUP_PYTHON}
        with:
          python-version: "3.13"
      - run: pip install --quiet "mosaic-deploy=={__version__}"
      - name: Plan
        if: github.event_name == 'pull_request'
        env:
          MOSAIC_API_KEY: ${{{{ secrets.MOSAIC_API_KEY }}}}
          GITHUB_TOKEN: ${{{{ github.token }}}}
        run: mosaic-deploy ci plan PATH_HERE< /dev/null
      - name: Apply
        if: github.event_name == 'push'
        env:
          MOSAIC_API_KEY: ${{{{ secrets.MOSAIC_API_KEY }}}}
        run: exec mosaic-deploy ci apply PATH_HERE< /dev/null
"""


def workflow_text(path: str) -> str:
    """The workflow for a project at `path`, relative to the repository's root (`.` for the root itself)."""
    argument = "" if path == "." else f"{shlex.quote(path)} "
    return _TEXT.replace("PATH_HERE", argument)

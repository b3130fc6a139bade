"""The GitHub workflow that `init --github` writes."""

from __future__ import annotations

import json

# By commit: what a tag names can change.
_CHECKOUT = "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0"
PLACEHOLDER = "OWNER/mosaic-deploy@COMMIT"
"""Where the program isn't known to be on GitHub; a job stops at it and says that there is no such repository."""

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
      # The deployer itself, by the commit that you trust. It plans for pull requests and applies for pushes.
      - uses: SOURCE_HERE
        with:
          path: PATH_HERE
          api-key: ${{{{ secrets.MOSAIC_API_KEY }}}}
"""


def workflow_text(path: str, source: str | None) -> str:
    """The workflow for a project at `path`, relative to the repository's root (`.` for the root itself).

    `source` is the deployer's own action, as `OWNER/REPOSITORY@COMMIT`.
    """
    # JSON's strings are YAML's, and what GitHub would take for an expression isn't one.
    written = json.dumps(path, ensure_ascii=False).replace("${{", "${{ '${{' }}")
    return _TEXT.replace("SOURCE_HERE", source or PLACEHOLDER).replace("PATH_HERE", written)

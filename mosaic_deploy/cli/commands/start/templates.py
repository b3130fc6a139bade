"""The texts that `init` writes."""

from __future__ import annotations

import json
from collections.abc import Iterator

from mosaic_deploy.source.detect import DetectedFolders

SCHEMA_FILE = "mosaic.schema.json"
IGNORE_FILE = ".mosaicignore"
AGENTS_FILE = "AGENTS.md"
WORKFLOW_FILE = ".github/workflows/mosaic.yml"

IGNORE = """\
# What is never deployed, in gitignore's language. Dotfiles, .DS_Store and their like are left out anyway.
*.map
*.swp
*~
"""

PAGE = """\
<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>{name}</title>
  </head>
  <body>
    <h1>{name}</h1>
  </body>
</html>
"""

AGENTS_BEGIN = "<!-- mosaic-deploy -->"
AGENTS_END = "<!-- /mosaic-deploy -->"
AGENTS = f"""\
{AGENTS_BEGIN}
## Deploying

This project is deployed to Mosaic by `mosaic-deploy` from `mosaic.yaml`; `mosaic.schema.json` has every field.

- Check without a network: `mosaic-deploy validate --output json`
- Rehearse on this machine, without an account: `mosaic-deploy apply --local --yes --output json`
- See what would change: `mosaic-deploy plan --output json`. Show it to a person before you apply it for real.
- Ask the database: `mosaic-deploy sql --local --read-only "SELECT 1"`
- Change the schema by a new file only: `mosaic-deploy migrate new add_something`. Files that are applied stay as they are.
- An error has a `code`: `mosaic-deploy explain lease_held`. Its `next_actions` have the command that goes on.
- Never pass `--allow destructive` by yourself: that is a person's decision.
{AGENTS_END}
"""


def manifest_text(found: DetectedFolders) -> str:
    """A manifest for what was found, with comments for what wasn't."""
    return "\n".join(_manifest_lines(found)) + "\n"


def with_agents_section(text: str) -> str:
    """AGENTS.md with our section: put in place of an older one, else at the end."""
    before, begin, rest = text.partition(AGENTS_BEGIN)
    _, end, after = rest.partition(AGENTS_END)
    if begin and end:
        return before + AGENTS.rstrip("\n") + after
    return f"{text.rstrip()}\n\n{AGENTS}" if text.strip() else AGENTS


def _manifest_lines(found: DetectedFolders) -> Iterator[str]:
    yield f"# yaml-language-server: $schema={SCHEMA_FILE}"
    yield "version: 1"
    yield ""
    yield "project:"
    yield f"  name: {_yaml_string(found.name)}"
    yield "  # id: the project's id, once an apply has shown it"
    yield ""
    yield from _section(
        "database",
        "migrations",
        found.migrations,
        "numbered SQL files, applied once and in order; make one with `mosaic-deploy migrate new NAME`",
    )
    yield from _section(
        "static", "dir", found.static, "the site as it is served: HTML, CSS, JavaScript, images"
    )
    yield from _section("storage", "dir", found.storage, "large files and types that hosting doesn't serve")
    yield "# Sign-in links by mail lead to a page of the site:"
    yield "# auth:"
    yield "#   magic_link:"
    yield "#     redirect_url: /signed-in"
    yield ""
    yield from _verify_section(found)
    yield "# What differs by environment, chosen with --env:"
    yield "# environments:"
    yield "#   staging:"
    yield "#     project: { name: " + _yaml_string(f"{found.name} staging") + " }"


def _section(name: str, field: str, value: str | None, meaning: str) -> Iterator[str]:
    mark = "" if value else "# "
    shown = (
        _yaml_string(value) if value else {"database": "migrations", "static": "public"}.get(name, "assets")
    )
    yield f"# {meaning[0].upper()}{meaning[1:]}."
    yield f"{mark}{name}:"
    yield f"{mark}  {field}: {shown}"
    yield ""


def _verify_section(found: DetectedFolders) -> Iterator[str]:
    mark = "" if found.static else "# "
    yield "# Asked over HTTP after every apply."
    yield f"{mark}verify:"
    yield f"{mark}  http:"
    yield f"{mark}    - path: /"
    yield ""


def _yaml_string(value: str) -> str:
    """A YAML string: plain where that is safe, else as JSON has it."""
    plain = value.replace("_", "").replace("-", "").replace("/", "").replace(" ", "")
    safe = plain.isascii() and plain.isalnum() and plain[:1].isalpha() and value.strip() == value
    words = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}
    return value if safe and value.lower() not in words else json.dumps(value, ensure_ascii=False)

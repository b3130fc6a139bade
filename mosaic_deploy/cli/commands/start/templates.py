"""The texts of the files that `init` writes."""

from __future__ import annotations

import json
from collections.abc import Iterator

from mosaic_deploy.source.detect import DetectedFolders

SCHEMA_FILE = "mosaic.schema.json"
IGNORE_FILE = ".mosaicignore"
AGENTS_FILE = "AGENTS.md"
WORKFLOW_FILE = ".github/workflows/mosaic.yml"

IGNORE = """\
# Files that are never deployed (gitignore syntax). Dotfiles, .DS_Store and the like are always skipped.
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

- Check offline: `mosaic-deploy validate --output json`
- Try it on this machine, without an account: `mosaic-deploy apply --local --yes --output json`
- See what would change: `mosaic-deploy plan --output json`. Show it to a person before you deploy.
- Query the database: `mosaic-deploy sql --local --read-only "SELECT 1"`
- Change the schema only in a new file: `mosaic-deploy migrate new add_something`. Never edit applied files.
- To explain an error's `code`: `mosaic-deploy explain lock_held`. Its `next_actions` list the commands to run next.
- Never pass `--allow destructive` on your own: that is a person's decision.
{AGENTS_END}
"""


def manifest_text(found: DetectedFolders) -> str:
    """A manifest for the detected folders; the other sections are commented out."""
    return "\n".join(_manifest_lines(found)) + "\n"


def with_agents_section(text: str) -> str:
    """The text of AGENTS.md with our section, replacing an older one or at the end."""
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
    yield "  # id: the project ID, shown by the first apply"
    yield ""
    yield from _section(
        "database",
        "migrations",
        found.migrations,
        "numbered SQL files, applied once and in order; with this set, `mosaic-deploy migrate new NAME` creates one",
    )
    yield from _section("static", "dir", found.static, "the site's files: HTML, CSS, JavaScript, images")
    yield from _section(
        "storage", "dir", found.storage, "large files, and file types that static hosting doesn't serve"
    )
    yield "# The page that magic links open:"
    yield "# auth:"
    yield "#   magic_link:"
    yield "#     redirect_url: /signed-in"
    yield ""
    yield from _verify_section(found)
    yield "# Overrides per environment, selected with --env:"
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
    yield "# Requested over HTTP after every deploy."
    yield f"{mark}verify:"
    yield f"{mark}  http:"
    yield f"{mark}    - path: /"
    yield ""


def _yaml_string(value: str) -> str:
    """A YAML string: plain if that is safe, else quoted as in JSON."""
    plain = value.replace("_", "").replace("-", "").replace("/", "").replace(" ", "")
    safe = plain.isascii() and plain.isalnum() and plain[:1].isalpha() and value.strip() == value
    words = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}
    return value if safe and value.lower() not in words else json.dumps(value, ensure_ascii=False)

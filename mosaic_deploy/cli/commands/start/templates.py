"""The texts of the files that `init` writes."""

from __future__ import annotations

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


def with_agents_section(text: str) -> str:
    """The text of AGENTS.md with our section, replacing an older one or at the end."""
    before, begin, rest = text.partition(AGENTS_BEGIN)
    _, end, after = rest.partition(AGENTS_END)
    if begin and end:
        return before + AGENTS.rstrip("\n") + after
    return f"{text.rstrip()}\n\n{AGENTS}" if text.strip() else AGENTS

"""`mosaic-deploy storage`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.lazy_groups import Group
from mosaic_deploy.cli.render.layout import table
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions


@click.group(cls=Group)
def storage() -> None:
    """List storage files."""


@storage.command(cls=folder_option.FolderCommand)
@click.argument("prefix", default="")
@folder_option.target_options
@options.output
@click.pass_obj
def ls(
    screen: Screen,
    prefix: str,
    target_options: TargetOptions,
) -> None:
    """List storage files with size and URL. PREFIX filters by the start of the name; the last line shows the used space.

    \b
    Examples:
      mosaic-deploy storage ls
      mosaic-deploy storage ls images/
    """
    session = target_options.open("project_only")
    from mosaic_deploy.live.api.operations import read_storage_files

    with session:
        found, usage = read_storage_files(session.api, folder_option.find_project(session).id)
    files = [(name, size, url) for name, (size, url) in sorted(found.items()) if name.startswith(prefix)]
    document = {
        "type": "storage",
        "files": [{"filename": name, "size": size, "url": url} for name, size, url in files],
        "usage": usage,
    }
    screen.result(document, _lines(files, usage))


def _lines(files: list[tuple[str, int | None, str]], usage: dict[str, object]) -> Iterator[str]:
    from mosaic_deploy.model.quantities import size_text

    if files:
        yield from table(
            ("name", "size", "url"),
            [(name, "?" if size is None else size_text(size), url) for name, size, url in files],
        )
    else:
        yield "no storage files found"
    if usage:
        yield _usage_line(usage)


def _usage_line(usage: dict[str, object]) -> str:
    used, limit, percent = (usage.get(name, "?") for name in ("used", "limit", "percent"))
    over = isinstance(percent, int | float) and percent > 100
    return f"used: {used} of {limit} ({'over the limit' if over else f'{percent} %'})"

"""`mosaic-deploy storage ls` and `url`."""

from __future__ import annotations

from collections.abc import Iterator

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.render.layout import table
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions


@click.command(cls=folder_option.FolderCommand)
@click.argument("prefix", default="")
@folder_option.target_options
@options.output
@click.pass_obj
def ls(
    screen: Screen,
    prefix: str,
    target_options: TargetOptions,
) -> None:
    """List storage files with size and URL. The last line shows the used space.

    PREFIX is the start of the names, or a glob in quotes: `*` and `?` don't match a slash, `**` does.

    \b
    Examples:
      mosaic-deploy storage ls
      mosaic-deploy storage ls images/
      mosaic-deploy storage ls '**/*.png'
    """
    session = target_options.open("project_only")
    from mosaic_deploy.deploy.storage.patterns import listed_names
    from mosaic_deploy.live.api.operations import read_storage_files

    with session:
        found, usage = read_storage_files(session.api, folder_option.find_project(session).id)
    files = [(name, *found[name]) for name in listed_names(prefix, found)]
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


@click.command(cls=folder_option.FolderCommand)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@folder_option.target_options
@options.output
@click.pass_obj
def url(screen: Screen, names: tuple[str, ...], target_options: TargetOptions) -> None:
    """Print the public URLs of storage files. One URL a line.

    NAME is a whole name, FOLDER/ for all files below it, or a glob in quotes.

    \b
    Examples:
      mosaic-deploy storage url images/welcome.png
      mosaic-deploy storage url 'images/*.png'
    """
    session = target_options.open("project_only")
    from mosaic_deploy.deploy.storage.patterns import chosen_names
    from mosaic_deploy.errors import ResponseInvalid, StorageFileMissing
    from mosaic_deploy.live.api.operations import read_storage_files
    from mosaic_deploy.live.snapshot import storage_urls

    with session:
        project = folder_option.find_project(session)
        found, _ = read_storage_files(session.api, project.id)
        known = storage_urls(session.api, project, found)
        try:
            urls = {name: found[name][1] for name in chosen_names(names, found)}
        except StorageFileMissing as error:
            if len(names) == 1 and (future := known.of(names[0])) and not names[0].endswith("/"):
                error.hint = f"{error.hint}; once it is uploaded, its URL is {future}"
            raise
        if unlisted := [name for name, address in urls.items() if not address]:
            raise ResponseInvalid(f"the platform lists no URL for {unlisted[0]}")
    document = {
        "type": "storage_urls",
        "files": [{"filename": name, "url": address} for name, address in urls.items()],
    }
    if screen.format == "text":
        screen.text("\n".join(urls.values()))
    else:
        screen.result(document, ())

"""`mosaic-deploy storage ls` and `url`."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from mosaic_deploy.cli import folder_option, options
from mosaic_deploy.cli.render.layout import output_width, table, text_width
from mosaic_deploy.cli.render.screen import Screen
from mosaic_deploy.cli.target.target import TargetOptions

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.schema_documents import Document


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
    from mosaic_deploy.live.snapshot import storage_urls

    with session:
        project = folder_option.find_project(session)
        found, usage = read_storage_files(session.api, project.id)
        base = storage_urls(session.api, project, found).base
    files = [(name, *found[name]) for name in listed_names(prefix, found)]
    document = list_document(files, usage)
    listed = _file_lines(files, base) if files else [no_match_line(prefix, found)]
    screen.result(document, (*listed, *([_usage_line(usage)] if usage else [])))


def list_document(files: Sequence[tuple[str, int | None, str]], usage: dict[str, object]) -> Document:
    """The result for these names, sizes and URLs."""
    listed = [{"filename": name, "size": size, "url": url} for name, size, url in files]
    return {"type": "storage", "files": listed, "usage": usage}


def _file_lines(files: Sequence[tuple[str, int | None, str]], base: str) -> Iterator[str]:
    """A line per file. If its URL doesn't fit as well, `base` is said once, if it precedes the name in every URL."""
    from mosaic_deploy.live.storage_urls import storage_url
    from mosaic_deploy.model.quantities import size_text

    rows = [(name, "?" if size is None else size_text(size), url) for name, size, url in files]
    width = output_width(sys.stdout)
    needed = sum(max(map(text_width, column)) for column in zip(*rows, strict=True)) + 4
    together = base and all(url == storage_url(base, name) for name, _, url in files)
    if width is None or needed <= width or not together:
        yield from table(("name", "size", "url"), rows)
        return
    yield from table(("name", "size"), [row[:2] for row in rows])
    yield f"url: {base}NAME"


_MAX_NAMED = 5


def no_match_line(prefix: str, names: Collection[str]) -> str:
    """That no name begins with `prefix` or matches it, and what there is instead: files and folders at the top."""
    from mosaic_deploy.deploy.storage.patterns import is_glob
    from mosaic_deploy.model.quantities import count_text

    if not names:
        return "no storage files"
    top = sorted({name[: name.find("/") + 1] or name for name in names})
    some = ", ".join(top[:_MAX_NAMED]) + (", …" if len(top) > _MAX_NAMED else "")
    what = "matches" if is_glob(prefix) else "begins with"
    return f"no name {what} {prefix}; in storage: {count_text(len(names), 'file')} ({some})"


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

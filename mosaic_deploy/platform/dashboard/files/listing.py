"""Pages of a project's files: searched, counted and cut in the control database, also if there are 100,000."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlencode

from psycopg.rows import DictRow
from starlette.requests import Request

from mosaic_deploy.platform.postgres import control_database
from mosaic_deploy.platform.services import Platform
from mosaic_deploy.platform.storage.file_records import FileTable

PAGE_SIZE = 100
MAX_FOLDERS = 500
_MAX_QUERY = 512
_FILES = """
SELECT filename, size, content_type, etag, object, updated_at, count(*) OVER () AS total
FROM {table} WHERE project_id = %(project)s AND starts_with(filename, %(folder)s::text)
    AND (NOT %(direct)s::boolean OR strpos(substr(filename, length(%(folder)s::text) + 1), '/') = 0)
    AND strpos(lower(filename), lower(%(search)s::text COLLATE "C")) > 0
ORDER BY filename LIMIT %(limit)s OFFSET %(offset)s
"""
_FOLDERS = """
SELECT split_part(substr(filename, length(%(folder)s::text) + 1), '/', 1) AS name, count(*) AS files, sum(size)::bigint AS size
FROM {table} WHERE project_id = %(project)s AND starts_with(filename, %(folder)s::text)
    AND strpos(substr(filename, length(%(folder)s::text) + 1), '/') > 0
GROUP BY 1 ORDER BY 1 LIMIT %(limit)s
"""
_TOTALS = """
SELECT count(*) AS files, coalesce(sum(size), 0)::bigint AS size FROM {table} WHERE project_id = %(project)s
"""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the URL asks for: files whose names contain `search`, in a `folder` that is empty or ends with a slash."""

    search: str = ""
    folder: str = ""
    page: int = 1

    def url(self, *, page: int) -> str:
        """The query part of the URL of another page."""
        chosen = {"q": self.search, "folder": self.folder, "page": page if page > 1 else ""}
        return "?" + urlencode({name: value for name, value in chosen.items() if value})


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of files. `total` counts all that were found, `totals` all that the project has."""

    choice: Choice
    files: list[DictRow]
    total: int
    totals: DictRow
    folders: list[DictRow] = field(default_factory=list)

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // PAGE_SIZE))


def read_choice(request: Request) -> Choice:
    query = request.query_params
    search, folder = (query.get(name, "").replace("\0", "")[:_MAX_QUERY] for name in ("q", "folder"))
    page = query.get("page", "")
    number = int(page) if page.isascii() and page.isdecimal() and len(page) < 7 else 1
    return Choice(
        search.strip(), folder if not folder or folder.endswith("/") else folder + "/", max(1, number)
    )


async def list_files(
    platform: Platform, table: FileTable, project_id: str, choice: Choice, *, by_folder: bool
) -> Listing:
    """A page of the files; with `by_folder` and without a search only those directly in the folder, and its folders."""
    direct = by_folder and not choice.search
    values = {
        "project": project_id,
        "folder": choice.folder,
        "search": choice.search,
        "direct": direct,
        "limit": PAGE_SIZE,
        "offset": (choice.page - 1) * PAGE_SIZE,
    }
    files = await _fetch(platform, _FILES, table, values)
    total = files[0]["total"] if files else 0
    if not files and choice.page > 1:
        # Beyond the last page, perhaps because files were deleted.
        first = Choice(choice.search, choice.folder)
        return await list_files(platform, table, project_id, first, by_folder=by_folder)
    folders = await _fetch(platform, _FOLDERS, table, {**values, "limit": MAX_FOLDERS}) if direct else []
    (totals,) = await _fetch(platform, _TOTALS, table, values)
    return Listing(choice, files, total, totals, folders)


async def _fetch(
    platform: Platform, query: str, table: FileTable, values: dict[str, object]
) -> list[DictRow]:
    return await control_database.fetch(platform.pool, query.format(table=table), values)

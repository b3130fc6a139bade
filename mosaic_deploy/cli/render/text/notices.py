"""PostgreSQL's NOTICE and WARNING, as psql shows them."""

from __future__ import annotations

from collections.abc import Iterator

from mosaic_deploy.model.event import SqlNotice


def notice_lines(notice: SqlNotice) -> Iterator[str]:
    """`NOTICE: text`, and its detail and hint below."""
    first, *more = notice.message.splitlines() or [""]
    yield f"{notice.severity}: {first}"
    for line in more:
        yield f"  {line}"
    if notice.detail:
        yield f"  detail: {notice.detail}"
    if notice.hint:
        yield f"  hint: {notice.hint}"

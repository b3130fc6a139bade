"""HTML as values: everything is escaped unless it is `Html` already."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape_html(value: str) -> Html:
    return value if isinstance(value, Html) else Html(html.escape(value))


def join_html(parts: Iterable[str], separator: str = "") -> Html:
    return Html(escape_html(separator).join(escape_html(part) for part in parts))


def element(name: str, content: str = "", /, **attributes: str) -> Html:
    """`class_` is written as class, `aria_label` as aria-label."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"' for key, value in attributes.items()
    )
    return Html(f"<{name}{written}>{escape_html(content)}</{name}>")


def link(target: str, label: str | None = None) -> Html:
    return element("a", label or target, href=target)


def time_element(at: datetime) -> Html:
    """A time in UTC, to the second."""
    at = at.astimezone(UTC)
    return element("time", at.strftime("%Y-%m-%d %H:%M:%S"), datetime=at.isoformat(timespec="seconds"))


def meter(used: int, limit: int, label: str) -> Html:
    """A bar with its meaning in words beside it. `high` colours it where it is nearly full."""
    bar = element(
        "meter",
        label,
        min="0",
        max=str(max(1, limit)),
        high=str(limit * 9 // 10),
        value=str(used),
        aria_label=label,
    )
    return join_html([bar, element("small", label)], " ")


def table(caption: str, headers: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> Html:
    """The first cell of a row is its head. Wide tables scroll by themselves, by keyboard too."""
    if not rows:
        return element("p", empty, class_="empty")
    head = element("tr", join_html(element("th", name, scope="col") for name in headers))
    lines = join_html(element("tr", _row(row)) for row in rows)
    whole = join_html(
        [element("caption", caption), element("thead", head), element("tbody", lines)],
    )
    return element(
        "div", element("table", whole), class_="wide", role="region", tabindex="0", aria_label=caption
    )


def _row(cells: Sequence[str]) -> Html:
    first, *others = cells
    return join_html([element("th", first, scope="row"), *(element("td", cell) for cell in others)])


def section(name: str, title: str, *content: str) -> Html:
    heading = element("h2", title, id=f"{name}-title")
    return element("section", join_html([heading, *content]), id=name, aria_labelledby=f"{name}-title")


def definition_list(pairs: Iterable[tuple[str, str]]) -> Html:
    return element(
        "dl", join_html(join_html([element("dt", name), element("dd", value)]) for name, value in pairs)
    )

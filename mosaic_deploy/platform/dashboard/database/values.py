"""Values as PostgreSQL's own texts: how they are shown, and that a form gives them back as they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_INDENT = "  "
_MAX_DEPTH = 100
_OPENING, _CLOSING = "[{", "]}"


@dataclass(frozen=True, slots=True)
class Cell:
    """A value in a table of rows. `text` is None for NULL, and for values of which only the size (in bytes) is shown.

    `cut`: the text goes on. `url` is where the value leads, such as the row that a foreign key refers to.
    """

    text: str | None
    size: int | None
    kind: str
    cut: bool = False
    url: str = ""

    @property
    def is_null(self) -> bool:
        return self.size is None


def shown_cell(text: str | None, size: int | None, kind: str, limit: int) -> Cell:
    """`text` is what was read of the value: up to one character more than `limit`."""
    cut = text is not None and len(text) > limit
    return Cell(text[:limit] if text and cut else text, size, kind, cut)


def form_text(text: str) -> str:
    """The text as a browser's text field has it: with line ends of one character."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def survives_form(text: str) -> bool:
    """Whether `from_form` makes the text again of what a browser sends for it."""
    return from_form(form_text(text), text) == text


def from_form(sent: str, before: str | None) -> str:
    """The value that a text field means. Browsers send each line end as CRLF; the value has those that it had `before`."""
    lines = form_text(sent)
    uses_crlf = before is not None and "\r\n" in before
    return lines.replace("\n", "\r\n") if uses_crlf else lines


def indented_json(text: str) -> str:
    """A JSON text on several lines, with every number and string as it was. As it is if it is nested too deeply."""
    pieces = list(_json_pieces(text))
    return text if pieces[-1:] == [""] else "".join(pieces)


def _json_pieces(text: str) -> Iterator[str]:
    """The last one is empty if the text is nested too deeply."""
    depth, at = 0, 0
    while at < len(text):
        letter = text[at]
        end = at + 1
        if letter == '"':
            end = _string_end(text, at)
            yield text[at:end]
        elif letter in _OPENING:
            end = _after_blanks(text, end)
            if text[end : end + 1] in _CLOSING and end < len(text):
                end += 1
                yield letter + text[end - 1]
            else:
                depth += 1
                if depth > _MAX_DEPTH:
                    yield ""
                    return
                yield f"{letter}\n{_INDENT * depth}"
        elif letter in _CLOSING:
            depth -= 1
            yield f"\n{_INDENT * depth}{letter}"
        elif letter == ",":
            yield f",\n{_INDENT * depth}"
        elif letter == ":":
            yield ": "
        elif not letter.isspace():
            yield letter
        at = end


def _string_end(text: str, start: int) -> int:
    at = start + 1
    while at < len(text) and text[at] != '"':
        at += 2 if text[at] == "\\" else 1
    return at + 1


def _after_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def vector_dimensions(text: str) -> int:
    """Of pgvector's `[1,2,3]`, or its sparse `{1:0.5}/1000`."""
    _, slash, dimensions = text.rpartition("/")
    if slash and dimensions.isdecimal():
        return int(dimensions)
    return text.count(",") + 1 if len(text) > 2 else 0


def bytes_count(text: str) -> int:
    """The bytes of a `bytea` in its hexadecimal form, such as `\\x00ff`."""
    return max(0, len(text) - 2) // 2

"""The documentation that is shipped: beside this file in a wheel, beside the package in a checkout."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

_PACKAGE = Path(__file__).parent
_FOLDERS = (_PACKAGE / "docs", _PACKAGE.parent / "docs")
_CODE_PAGES = ("errors.md", "lint.md")
"""Where codes are explained, each under a heading of its own."""
_HEADING = re.compile(r"^(#{1,6}) (.+)$", re.MULTILINE)
_CODE = re.compile(r"`?([a-z][a-z0-9_]*)`?")


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `code` means and what to do, as Markdown; `source` is the page it stands on."""

    code: str
    source: str
    text: str


def doc_names() -> tuple[str, ...]:
    """The shipped pages' file names, sorted."""
    return tuple(sorted(path.name for path in _docs_folder().glob("*.md")))


def read_doc(name: str) -> str:
    """A shipped page. FileNotFoundError where there is none of that name."""
    if name not in doc_names():
        raise FileNotFoundError(f"there is no page {name}; there are {', '.join(doc_names())}")
    return (_docs_folder() / name).read_text(encoding="utf-8")


def read_skill() -> str:
    """The skill file: the whole workflow on one page, for agents."""
    for folder in (_PACKAGE, _PACKAGE.parent):
        file = folder / "skills" / "mosaic-deploy" / "SKILL.md"
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise FileNotFoundError("the skill is not in this installation of mosaic-deploy")


def find_explanation(code: str) -> Explanation | None:
    """Cause and cure of an error's or a finding's code, None where it is none."""
    wanted = code.strip().strip("`").lower()
    return next((found for found in read_explanations() if found.code == wanted), None)


def similar_codes(code: str) -> list[str]:
    """At most three codes that may be meant: spelled almost like this, else with its words, in their names or texts."""
    every = list(read_explanations())
    asked = code.strip().strip("`").lower()
    if spelled := get_close_matches(asked, [found.code for found in every], 3, 0.75):
        return spelled
    words = [word for word in re.split(r"[^a-z0-9]+", asked) if len(word) > 2]
    said = {found.code: _match_score(words, found) for found in every}
    return sorted((name for name in said if said[name]), key=lambda name: -said[name])[:3]


def _match_score(words: list[str], found: Explanation) -> int:
    """How many of `words` an explanation has, its code's counting more; 0 where it lacks most of them."""
    named = found.code.split("_")
    told = {*re.findall(r"[a-z0-9]+", found.text.lower()), *named}
    known = [word for word in words if get_close_matches(word, told, 1, 0.8)]
    in_name = [word for word in known if get_close_matches(word, named, 1, 0.8)]
    return len(known) + len(in_name) if 2 * len(known) >= max(1, len(words)) else 0


def read_explanations() -> Iterator[Explanation]:
    """All of them, errors first, in the order of the pages."""
    for source in _CODE_PAGES:
        text = read_doc(source)
        headings = list(_HEADING.finditer(text))
        for number, heading in enumerate(headings):
            named = _CODE.fullmatch(heading.group(2).strip())
            if named and len(heading.group(1)) > 1:
                end = _section_end(headings, number, len(text))
                yield Explanation(named.group(1), source, text[heading.end() : end].strip())


def _section_end(headings: list[re.Match[str]], number: int, end: int) -> int:
    """Where a heading's section ends: at the next one that isn't below it."""
    depth = len(headings[number].group(1))
    later = (heading for heading in headings[number + 1 :] if len(heading.group(1)) <= depth)
    return next((heading.start() for heading in later), end)


def _docs_folder() -> Path:
    for folder in _FOLDERS:
        if (folder / _CODE_PAGES[0]).is_file():
            return folder
    raise FileNotFoundError("the documentation is not in this installation of mosaic-deploy")

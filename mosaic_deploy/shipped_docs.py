"""The documentation that ships with the program, and the explanations of codes in it.

The pages are inside the package in a wheel, and beside it in a checkout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

_PACKAGE = Path(__file__).parent
_FOLDERS = (_PACKAGE / "docs", _PACKAGE.parent / "docs")
_CODE_PAGES = ("errors.md", "lint.md", "api-errors.md")
"""Pages that explain codes, each under its own heading."""
_HEADING = re.compile(r"^(#{1,6}) (.+)$", re.MULTILINE)
_CODE = re.compile(r"`?([a-z][a-z0-9_]*)`?")


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a code means, its causes and the fix, as Markdown. `source` is the file name of the page."""

    code: str
    source: str
    text: str

    @property
    def summary(self) -> str:
        """The first sentence, without its marks."""
        paragraph = " ".join(self.text.partition("\n\n")[0].split())
        plain = re.sub(r"\[([^][]+)\]\([^()]+\)|\*\*", lambda found: found[1] or "", paragraph)
        return plain.partition(". ")[0].removesuffix(".") + "."


def doc_names() -> tuple[str, ...]:
    """File names of the shipped pages, sorted."""
    return tuple(sorted(path.name for path in _docs_folder().glob("*.md")))


def read_doc(name: str) -> str:
    """The Markdown of a shipped page. Raises FileNotFoundError if there is no such page."""
    if name not in doc_names():
        raise FileNotFoundError(f"there is no page {name}; available: {', '.join(doc_names())}")
    return (_docs_folder() / name).read_text(encoding="utf-8")


def read_skill() -> str:
    """The skill file: the workflow for agents on one page."""
    for folder in (_PACKAGE, _PACKAGE.parent):
        file = folder / "skills" / "mosaic-deploy" / "SKILL.md"
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise FileNotFoundError("this installation of mosaic-deploy lacks the skill file")


def find_explanation(code: str) -> Explanation | None:
    """The explanation of an error code or lint rule, None for an unknown one."""
    wanted = _normalized(code)
    return next((each for each in read_explanations() if each.code == wanted), None)


def similar_codes(code: str) -> list[str]:
    """At most three suggestions for an unknown code: similar spelling, else explanations that contain its words."""
    explanations = list(read_explanations())
    wanted = _normalized(code)
    if close := get_close_matches(wanted, [each.code for each in explanations], 3, 0.75):
        return close
    words = [word for word in re.split(r"[^a-z0-9]+", wanted) if len(word) > 2]
    scores = {each.code: _match_score(words, each) for each in explanations}
    return sorted((name for name in scores if scores[name]), key=lambda name: -scores[name])[:3]


def search_explanations(words: Sequence[str]) -> list[Explanation]:
    """The explanations that contain all of `words`, or their beginnings; those with more of them in the code first."""
    wanted = [word.lower() for word in words]
    scored = [(_search_score(wanted, each), each) for each in read_explanations()]
    return [each for score, each in sorted(scored, key=lambda pair: -pair[0]) if score]


def _search_score(words: Sequence[str], explanation: Explanation) -> int:
    text = f"{explanation.code} {explanation.text}".lower()
    if not all(re.search(rf"(?<![a-z0-9]){re.escape(word)}", text) for word in words):
        return 0
    return (
        1
        + sum(2 for word in words if word in explanation.code)
        + sum(word in explanation.summary.lower() for word in words)
    )


def _normalized(code: str) -> str:
    return code.strip().strip("`").lower()


def _match_score(words: list[str], explanation: Explanation) -> int:
    """The number of `words` in an explanation, those in its code counted twice; 0 if it lacks most of them."""
    code_words = explanation.code.split("_")
    all_words = {*re.findall(r"[a-z0-9]+", explanation.text.lower()), *code_words}
    found = [word for word in words if get_close_matches(word, all_words, 1, 0.8)]
    in_code = [word for word in found if get_close_matches(word, code_words, 1, 0.8)]
    return len(found) + len(in_code) if 2 * len(found) >= max(1, len(words)) else 0


def read_explanations() -> Iterator[Explanation]:
    """All explanations: errors first, then lint rules, in the order of the pages."""
    for source in _CODE_PAGES:
        text = read_doc(source)
        headings = list(_HEADING.finditer(text))
        for number, heading in enumerate(headings):
            code = _CODE.fullmatch(heading.group(2).strip())
            if code and len(heading.group(1)) > 1:
                end = _section_end(headings, number, len(text))
                yield Explanation(code.group(1), source, text[heading.end() : end].strip())


def _section_end(headings: list[re.Match[str]], number: int, end: int) -> int:
    """Offset of the end of a section: the next heading of the same or a higher level."""
    depth = len(headings[number].group(1))
    later = (heading for heading in headings[number + 1 :] if len(heading.group(1)) <= depth)
    return next((heading.start() for heading in later), end)


def _docs_folder() -> Path:
    for folder in _FOLDERS:
        if (folder / _CODE_PAGES[0]).is_file():
            return folder
    raise FileNotFoundError("this installation of mosaic-deploy lacks the documentation")

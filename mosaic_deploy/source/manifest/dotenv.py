"""Reads `.env` beside the manifest: variables for `${NAME}` and settings of the command line."""

from __future__ import annotations

import re
from pathlib import Path

from mosaic_deploy.errors import Location, ManifestInvalid, Problem
from mosaic_deploy.source.manifest.text import SourceTextError, read_source_text

_NAME = r"[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*="
_QUOTED = {
    '"': r'[ \t]*"(?P<value>(?:[^"\\]|\\.)*)"[ \t]*(?:#[^\n]*)?(?=\n|\Z)',
    "'": r"[ \t]*'(?P<value>[^']*)'[ \t]*(?:#[^\n]*)?(?=\n|\Z)",
}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def read_dotenv(root: Path, *, file: str | None = None) -> dict[str, str]:
    """The variables in `root/.env`; empty if there is no such file.

    Supports `NAME=value`, `export`, comments, single quotes (literal) and double quotes (escapes, several lines).
    Values aren't expanded. Raises ManifestInvalid with every invalid line; messages never contain values.
    """
    values, problems = parse_dotenv(root, file or str(root / ".env"))
    if problems:
        raise ManifestInvalid(f"{file or root / '.env'} can't be read", problems=problems)
    return values


def parse_dotenv(root: Path, file: str) -> tuple[dict[str, str], list[Problem]]:
    """The variables in `root/.env`, and its problems, located in `file`."""
    try:
        text = read_source_text(root / ".env", file).text
    except (
        FileNotFoundError,
        NotADirectoryError,
        IsADirectoryError,
    ):  # a folder .env is a virtual environment
        return {}, []
    except OSError as error:
        return {}, [Problem(f"can't be read: {error.strerror}", Location(file))]
    except SourceTextError as error:
        return {}, [error.problem]
    return _DotenvParser(text.replace("\r\n", "\n"), file).read()


class _DotenvParser:
    """Parses one entry after another; `at` is the offset of the next line."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.at = 0
        self.values: dict[str, str] = {}
        self.problems: list[Problem] = []

    def read(self) -> tuple[dict[str, str], list[Problem]]:
        while self.at < len(self.text):
            line = self.text[self.at : self.line_end()]
            if line.strip() and not line.lstrip().startswith("#"):
                self.entry()
            self.at = self.line_end() + 1
        return self.values, self.problems

    def line_end(self) -> int:
        end = self.text.find("\n", self.at)
        return end if end >= 0 else len(self.text)

    def entry(self) -> None:
        """Parses one entry and leaves `at` on its last line."""
        name = re.compile(_NAME).match(self.text, self.at)
        if name is None:
            self.problem("expected NAME=value", "comment the line out with #, or delete it")
            return
        rest = self.text[name.end() : self.line_end()]
        quote = rest.lstrip()[:1]
        if quote not in _QUOTED:
            self.values[name["name"]] = re.split(r"[ \t]#", rest, maxsplit=1)[0].strip()
            return
        found = re.compile(_QUOTED[quote], re.DOTALL).match(self.text, name.end())
        if found is None:
            self.problem(
                f"the quote of {name['name']} isn't closed, or is followed by other text",
                "end the value with the same quote",
            )
            return
        self.values[name["name"]] = _unescape(found["value"]) if quote == '"' else found["value"]
        self.at = found.end()

    def problem(self, message: str, hint: str) -> None:
        line = self.text.count("\n", 0, self.at) + 1
        self.problems.append(Problem(message, Location(self.file, line, 1), hint=hint))


def _unescape(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), value, flags=re.DOTALL)

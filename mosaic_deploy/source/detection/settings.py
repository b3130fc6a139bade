"""Reads single settings of programs and settings files, without running them."""

from __future__ import annotations

import json
import re
from typing import Any

_COMMENT = re.compile(r"/\*.*?\*/|(?<![:\"'`\w])//[^\n]*", re.DOTALL)
_TEXT = r"[\"'`]([^\"'`$\n]*)[\"'`]"
_JOINED = (
    r"(?:path\s*\.\s*)?(?:resolve|join)\(\s*(?:__dirname|import\.meta\.dirname|process\.cwd\(\))"
    rf"((?:\s*,\s*{_TEXT.replace('(', '(?:')})+)\s*,?\s*\)"
)
_VALUE = rf"(?:{_TEXT}|{_JOINED})"


def without_comments(text: str) -> str:
    """A program without its comments."""
    return _COMMENT.sub("", text)


def script_setting(text: str, name: str) -> str | None:
    """The text that a program in JavaScript gives to `name`, also through a constant; None if it gives none, or something else."""
    program = without_comments(text)
    stated = rf"[\"']?\b{name}\b[\"']?\s*:\s*"
    found = re.search(stated + _VALUE, program)
    if found is None and (constant := re.search(stated + r"([A-Za-z_$][\w$]*)\s*[,}\n]", program)):
        found = re.search(
            rf"\b(?:const|let|var)\s+{re.escape(constant[1])}(?:\s*:\s*string)?\s*=\s*{_VALUE}", program
        )
    return _value(*found.groups()) if found else None


def _value(text: str | None, parts: str | None) -> str:
    """The value of _VALUE's groups: a text, or the parts of a path that are joined."""
    return text if text is not None else "/".join(re.findall(_TEXT, parts or ""))


def computes_setting(text: str, name: str) -> bool:
    """Whether a program gives `name` a value that isn't written in it."""
    stated = re.search(rf"[\"']?\b{name}\b[\"']?\s*:", without_comments(text)) is not None
    return stated and script_setting(text, name) is None


def script_flag(text: str, name: str) -> bool | None:
    """Whether a program in JavaScript gives `name` the value true or false; None if neither."""
    found = re.search(rf"[\"']?\b{name}\b[\"']?\s*:\s*(true|false)\b", without_comments(text))
    return found[1] == "true" if found else None


def line_setting(text: str, name: str) -> str | None:
    """The text of `name` in TOML, YAML, an ini file or a Python program, on a line of its own."""
    found = re.search(
        rf"^\s*[\"']?{name}[\"']?\s*[:=]\s*(?:\"([^\"\n]*)\"|'([^'\n]*)'|([^\s#\"'][^\n#]*))",
        text,
        re.MULTILINE | re.IGNORECASE,
    )
    value = next((each for each in found.groups() if each is not None), None) if found else None
    return value.strip().rstrip(",").strip("\"'") if value else None


def read_json(text: str) -> dict[str, Any]:
    """The object in a JSON file, which may have comments; empty if it isn't one."""
    for candidate in (text, without_comments(text)):
        try:
            found = json.loads(candidate)
        except ValueError:
            continue
        return found if isinstance(found, dict) else {}
    return {}


def table(value: Any) -> dict[str, Any]:
    """`value` if it is a table, else an empty one."""
    return value if isinstance(value, dict) else {}

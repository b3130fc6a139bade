"""Values of plain YAML scalars, and scalars that YAML 1.1 and YAML 1.2 read differently.

A scalar that both versions read the same becomes that value. Any other, or one that no field can use, becomes an
`AmbiguousScalar`, which is reported rather than guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar


@dataclass(frozen=True, slots=True)
class AmbiguousScalar:
    """A scalar without a clear value. `reading` is a sentence about how YAML reads it."""

    text: str
    reading: str
    clear: str | None = None
    """The same number or boolean in an unambiguous form, if there is one."""


_Meaning = TypeVar("_Meaning")
Scalar = str | int | float | bool | None | AmbiguousScalar


def _spellings(words: Mapping[str, _Meaning]) -> dict[str, _Meaning]:
    return {
        spelling: meaning
        for word, meaning in words.items()
        for spelling in (word, word.capitalize(), word.upper())
    }


_WORDS: dict[str, bool | None] = {
    **_spellings({"true": True, "false": False, "null": None}),
    "~": None,
    "": None,
}
_BOOLEANS_OF_YAML_1_1 = _spellings({"yes": "true", "on": "true", "no": "false", "off": "false"})

_NUMERIC_START = frozenset("0123456789+-.")
_LONGEST_NUMBER = 40
"""Longer numbers aren't plausible, and Python limits the number of digits it converts."""


def scalar_value(text: str) -> Scalar:
    """The value of a plain (unquoted) scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if text in _BOOLEANS_OF_YAML_1_1:
        boolean = _BOOLEANS_OF_YAML_1_1[text]
        return AmbiguousScalar(
            text, f"{text} is the boolean {boolean} in YAML 1.1 and text in YAML 1.2", boolean
        )
    if text[0] not in _NUMERIC_START:
        return text
    if re.fullmatch(r"[-+]?(?:0|[1-9][0-9]{0,17})", text):
        return int(text)
    if re.fullmatch(r"[-+]?(?:[0-9]{1,18}\.[0-9]{0,18}|\.[0-9]{1,18})", text):
        return float(text)
    return _ambiguous(text) or text


def _based(base: int, name: str) -> Callable[[str], AmbiguousScalar]:
    def make(text: str) -> AmbiguousScalar:
        number = str(int(text.lstrip("+-")[2:].replace("_", ""), base))
        reading = f"{text} is the {name} number {number} in some YAML parsers and text in others"
        if base == 16:
            reading = f"YAML reads {text} as the {name} number {number}"
        return AmbiguousScalar(text, reading, number)

    return make


def _octal(text: str) -> AmbiguousScalar:
    digits = text.lstrip("+-0_").replace("_", "") or "0"
    if set(digits) <= set("01234567"):
        reading = f"{text} is the octal number {int(digits, 8)} in YAML 1.1 and {digits} in YAML 1.2"
    else:
        reading = f"{text} is text in YAML 1.1 and the number {digits} in YAML 1.2"
    return AmbiguousScalar(text, reading, digits)


def _sexagesimal(text: str) -> AmbiguousScalar:
    total = 0
    for part in text.lstrip("+-").partition(".")[0].split(":"):
        total = total * 60 + int(part.replace("_", ""))
    return AmbiguousScalar(text, f"{text} is the base-60 number {total} in YAML 1.1 and text in YAML 1.2")


def _exponent(text: str) -> AmbiguousScalar:
    number = f"{float(text):.15g}"
    plain = number if number.replace(".", "").isdigit() else None
    return AmbiguousScalar(text, f"{text} is text in YAML 1.1 and a number in YAML 1.2", plain)


def _underscored(text: str) -> AmbiguousScalar:
    number = text.replace("_", "").rstrip(".")
    return AmbiguousScalar(text, f"{text} is the number {number} in YAML 1.1 and text in YAML 1.2", number)


def _date(text: str) -> AmbiguousScalar:
    return AmbiguousScalar(text, f"YAML reads {text} as a date")


def _unusable_number(text: str) -> AmbiguousScalar:
    return AmbiguousScalar(text, f"{text} isn't a number that a manifest can use")


_AMBIGUOUS_FORMS: tuple[tuple[str, Callable[[str], AmbiguousScalar]], ...] = (
    (r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", _unusable_number),
    (r"[-+]?0[xX][0-9a-fA-F_]*[0-9a-fA-F]_*", _based(16, "hexadecimal")),
    (r"[-+]?0b[01_]*[01]_*", _based(2, "binary")),
    (r"0o[0-7]+", _based(8, "octal")),
    (r"[-+]?0[0-9_]+", _octal),
    (r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?", _sexagesimal),
    (r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[-+0-9.:Zz \t]*)?", _date),
    (r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+", _exponent),
    (r"[-+]?[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]*)?|[-+]?[0-9]+\.[0-9]*_[0-9_]*", _underscored),
    (r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)", _unusable_number),
)


def _ambiguous(text: str) -> AmbiguousScalar | None:
    for shape, make in _AMBIGUOUS_FORMS:
        if re.fullmatch(shape, text):
            return (
                make(text) if len(text) <= _LONGEST_NUMBER else _unusable_number(f"{text[:_LONGEST_NUMBER]}…")
            )
    return None

"""What others said, without what may be anybody's secret. Rather too little is kept than too much."""

from __future__ import annotations

import re

_LONGEST = 300
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # Contractions would open a quote that nothing closes.
    (re.compile(r"(?<=[A-Za-z])n't\b"), "n’t"),
    # SQL, from where it begins to the end: no rule tells its values from its words for sure.
    (
        re.compile(
            r"\b(?:SELECT|INSERT|UPDATE|DELETE|VALUES|WITH|CREATE|ALTER|DROP|COPY|GRANT|MERGE|CALL|DO|SET|DECLARE)\b.*"
            r"|\b(?i:insert\s+into|select\s|delete\s+from|update\s+\S+\s+set|values\s*\(|copy\s+\S+\s+from)"
            r"(?s:.*)|\bKey\s*\(.*|\brow contains\b.*",
            re.DOTALL,
        ),
        "[SQL left out]",
    ),
    # Addresses: a database's has its password in it, an upload's its signature.
    (re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S*"), "[address left out]"),
    (re.compile(r"\S+@\S+"), "[address left out]"),
    # What stands in quotes is a name or a value. One that is never closed reaches to the end.
    (re.compile(r"\$(\w*)\$.*?(?:\$\1\$|$)", re.DOTALL), "'…'"),
    (re.compile(r"'(?:[^'\\]|''|\\.)*(?:'|$)", re.DOTALL), "'…'"),
    (re.compile(r'"(?:[^"\\]|""|\\.)*(?:"|$)', re.DOTALL), '"…"'),
    (re.compile(r"`[^`]*(?:`|$)"), "`…`"),
    (re.compile(r"\((?!HTTP \d{3}\))[^()]*(?:\)|$)"), "(…)"),
    (
        re.compile(
            r"(?i)\b(pass\w*|pwd|secret|token|api.?key|key|authorization|bearer|credentials?)\b\s*[:= ]\s*"
            r"(?:(?:bearer|basic)\s+)?\S+"
        ),
        r"\1 […]",
    ),
    (re.compile(r"\w+=\S+"), "[…]"),
    # Keys and tokens are long, or have a mark at their beginning.
    (re.compile(r"\b[A-Za-z]{2,10}_[A-Za-z0-9_-]{4,}"), "[…]"),
    (re.compile(r"[A-Za-z0-9+/_.=-]{24,}"), "[…]"),
    (re.compile(r"\d[\d .,:-]{4,}\d"), "[…]"),
)


def redacted(text: str) -> str:
    """`text` as one short line without quoted values, SQL, addresses, keys, passwords and long numbers."""
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"

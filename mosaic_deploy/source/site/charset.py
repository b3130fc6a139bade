"""Pages, stylesheets and SVG files in another encoding than UTF-8, as which hosting serves every text."""

from __future__ import annotations

import codecs
import re

_LABELS = {
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "iso_8859-1": "cp1252",
    "latin1": "cp1252",
    "us-ascii": "cp1252",
    "ascii": "cp1252",
    "iso-8859-9": "cp1254",
    "tis-620": "cp874",
    "iso-8859-11": "cp874",
    "shift_jis": "cp932",
    "sjis": "cp932",
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "big5": "big5hkscs",
    "utf-16": "utf-8",
    "utf-16le": "utf-8",
    "utf-16be": "utf-8",
}
"""What browsers read under a name, if Python's codec of that name is another one."""
_HEAD = 1024
"""Bytes in which browsers look for a declaration."""
_META = re.compile(r"""(<meta\b[^>]*?\bcharset\s*=\s*["']?\s*)([^\s"'/>;]+)""", re.IGNORECASE)
_RULE = re.compile(r'(\A@charset ")([^"]+)(?=";)')
_XML = re.compile(r"""(\A<\?xml\b[^>]*?\bencoding\s*=\s*["'])([^"']+)""")
_DECLARATIONS = {".html": _META, ".css": _RULE, ".svg": _XML}
_BOMS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
UTF8 = ""


def foreign_charset(suffix: str, content: bytes) -> str | None:
    """The Python codec in which the text is written; UTF8 if that is UTF-8, None if nothing says it.

    What is valid UTF-8 counts as UTF-8, whatever it declares.
    """
    for mark, codec in _BOMS:
        if content.startswith(mark):
            return codec if _decodes(content, codec) else None
    if _decodes(content, "utf-8"):
        return UTF8
    declaration = _DECLARATIONS.get(suffix)
    found = declaration.search(content[:_HEAD].decode("latin-1")) if declaration else None
    if found is None:
        return None
    try:
        codec = codecs.lookup(_LABELS.get(found[2].lower(), found[2])).name
    except LookupError:
        return None
    return codec if codec != "utf-8" and _decodes(content, codec) else None


def _decodes(content: bytes, codec: str) -> bool:
    try:
        content.decode(codec)
    except (UnicodeError, LookupError):
        return False
    return True


def decode_text(content: bytes, charset: str) -> str:
    """The text. Bytes that aren't UTF-8 survive until `encode_text`."""
    if charset:
        return content.decode(charset).removeprefix("\ufeff")
    return content.decode("utf-8", "surrogateescape")


def encode_text(text: str, suffix: str, charset: str) -> bytes:
    """The text in UTF-8. If it was in another charset, it declares UTF-8."""
    declaration = _DECLARATIONS.get(suffix)
    if charset and declaration:
        head, rest = text[:_HEAD], text[_HEAD:]
        text = declaration.sub(r"\1utf-8", head, count=1) + rest
    return text.encode("utf-8", "surrogateescape")

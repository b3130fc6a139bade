"""Pages, stylesheets and SVG files in another encoding than UTF-8, as which hosting serves every text."""

from __future__ import annotations

import codecs
import re

_CODECS = {"shift_jis": "cp932", "gbk": "gb18030", "euc-kr": "cp949", "big5": "big5hkscs"}
"""The codec of what browsers read under a name, if Python's codec of that name reads less."""
_IN_ASCII = "iso2022_jp"
"""Is written in ASCII characters, so all of it is valid UTF-8."""
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

    What is valid UTF-8 counts as UTF-8, whatever it declares; except ISO-2022-JP, which is written in ASCII characters.
    """
    for mark, codec in _BOMS:
        if content.startswith(mark):
            return codec if _decodes(content, codec) else None
    is_utf8 = _decodes(content, "utf-8")
    if is_utf8 and b"\x1b" not in content:
        return UTF8
    declared = _declared_codec(suffix, content)
    if is_utf8:
        return declared if declared == _IN_ASCII and _decodes(content, declared) else UTF8
    return declared if declared and _decodes(content, declared) else None


def _declared_codec(suffix: str, content: bytes) -> str | None:
    """The codec of the encoding that the text declares; None if it declares none, or one that browsers don't know."""
    from webencodings import lookup

    declaration = _DECLARATIONS.get(suffix)
    found = declaration.search(content[:_HEAD].decode("latin-1")) if declaration else None
    encoding = lookup(found[2]) if found else None
    return str(_CODECS.get(encoding.name, encoding.codec_info.name)) if encoding else None


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

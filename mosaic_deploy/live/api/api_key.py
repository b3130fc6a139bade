"""The API key, as a value that no message can show."""

from __future__ import annotations

import httpx

from mosaic_deploy import errors

_FRAMING_HEADERS = frozenset({b"content-length", b"content-encoding", b"transfer-encoding"})


class ApiKey:
    """A key that doesn't print itself."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Raises Unauthorized for what can't travel in a header, without showing it."""
        self._value = value.strip()
        if any(not "!" <= character <= "~" for character in self._value):
            raise errors.Unauthorized(
                "the API key holds a blank, a line break or a character that no key has",
                hint="copy it again from the dashboard into MOSAIC_API_KEY, without quotes",
            )

    def __repr__(self) -> str:
        return "ApiKey(mk_…)"

    __str__ = __repr__

    def reveal(self) -> str:
        return self._value

    def redact(self, response: httpx.Response) -> httpx.Response:
        """`response` without the key, should a server have echoed it anywhere."""
        key = self._value.encode()
        headers = response.headers.raw
        if not key or not (key in response.content or any(key in value for _, value in headers)):
            return response
        shown = [(name, value.replace(key, b"mk_...")) for name, value in headers]
        kept = [(name, value) for name, value in shown if name.lower() not in _FRAMING_HEADERS]
        content = response.content.replace(key, "mk_…".encode())
        return httpx.Response(response.status_code, headers=kept, content=content, request=response.request)

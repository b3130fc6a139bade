"""The API key, as a value that never appears in messages."""

from __future__ import annotations

import httpx

from mosaic_deploy import errors

_FRAMING_HEADERS = frozenset({b"content-length", b"content-encoding", b"transfer-encoding"})

_SHORTEST_SECRET = 8


class ApiKey:
    """A key whose text is only returned by `reveal`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Raises KeyInvalid for characters that a header can't contain; the message doesn't show the key."""
        self._value = value.strip()
        invalid = next((char for char in self._value if not "!" <= char <= "~"), None)
        if invalid:
            found = {"\n": "a line break", "\r": "a line break", " ": "a space"}
            raise errors.KeyInvalid(
                f"the API key contains {found.get(invalid, 'a character that no key has')}",
                hint="copy the key again from the dashboard, without quotes",
            )

    def __repr__(self) -> str:
        return "ApiKey(mk_…)"

    __str__ = __repr__

    def reveal(self) -> str:
        return self._value

    def redact(self, response: httpx.Response) -> httpx.Response:
        """`response` with the key removed, in case the server echoed it.

        A text as short as a word isn't removed: it isn't secret, and it occurs in other words.
        """
        key = self._value.encode()
        headers = response.headers.raw
        if len(key) < _SHORTEST_SECRET or not (
            key in response.content or any(key in value for _, value in headers)
        ):
            return response
        shown = [(name, value.replace(key, b"mk_...")) for name, value in headers]
        kept = [(name, value) for name, value in shown if name.lower() not in _FRAMING_HEADERS]
        content = response.content.replace(key, "mk_…".encode())
        return httpx.Response(response.status_code, headers=kept, content=content, request=response.request)

"""Sending mail through an SMTP server, named by one URL.

    smtp://user:password@host:587/?from=no-reply@example.com    STARTTLS where the server offers it
    smtp+starttls://…                                           STARTTLS, or no mail
    smtps://user:password@host:465/?from=…                      TLS from the first byte

A password goes to another machine only through TLS.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from urllib.parse import parse_qsl, unquote, urlsplit

from mosaic_deploy.platform.faults import Fault, ProcessFault
from mosaic_deploy.platform.projects.names import checked_address

VARIABLE = "MOSAIC_SMTP_URL"
_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SECONDS = 20.0
_EXAMPLE = "e.g. smtps://user:password@mail.example.com:465/?from=no-reply@example.com"


class MailUnsent(Exception):
    """The mail didn't go out. `maybe`: it was handed over, and the server's answer was lost."""

    def __init__(self, reason: str, *, maybe: bool = False) -> None:
        super().__init__(reason)
        self.maybe = maybe


@dataclass(frozen=True)
class Mailer:
    """One SMTP server. A connection per mail: there are few."""

    scheme: str
    host: str
    port: int
    sender: str
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def address(self) -> str:
        """For people: no password."""
        return f"{self.scheme}://{self.host}:{self.port}"

    async def send(self, message: EmailMessage) -> None:
        """Returns when the server has taken the mail; MailUnsent otherwise."""
        await asyncio.to_thread(self._send, message)

    def _send(self, message: EmailMessage) -> None:
        server = None
        try:
            server = self._connected()
            self._enter(server)
        except (OSError, smtplib.SMTPException) as error:
            if server is not None:
                server.close()
            raise MailUnsent(_reason(error)) from error
        try:
            server.send_message(message)
        except OSError as error:
            # What the server says is sure; what it didn't get to say isn't.
            answered = isinstance(error, smtplib.SMTPResponseException | smtplib.SMTPRecipientsRefused)
            raise MailUnsent(_reason(error), maybe=not answered) from error
        finally:
            # Taken is taken, whatever comes of the farewell.
            server.close()

    def _connected(self) -> smtplib.SMTP:
        if self.scheme == "smtps":
            return smtplib.SMTP_SSL(
                self.host, self.port, timeout=_SECONDS, context=ssl.create_default_context()
            )
        return smtplib.SMTP(self.host, self.port, timeout=_SECONDS)

    def _enter(self, server: smtplib.SMTP) -> None:
        server.ehlo_or_helo_if_needed()
        secure = self.scheme == "smtps"
        if not secure and (self.scheme == "smtp+starttls" or server.has_extn("starttls")):
            server.starttls(context=ssl.create_default_context())
            secure = True
        if self.user and not secure and self.host not in _LOOPBACK:
            raise smtplib.SMTPException("the server offers no TLS, and the password isn't sent without")
        if self.user:
            server.login(self.user, self.password)


def mailer_from(url: str | None) -> Mailer | None:
    """None without a URL: mails stay in the local inbox. ProcessFault where the URL can't be used."""
    if not url or not url.strip():
        return None
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise _unusable("it can't be read") from error
    if parts.scheme not in _PORTS:
        raise _unusable("it must begin with smtp://, smtp+starttls:// or smtps://")
    if not parts.hostname or parts.path not in ("", "/"):
        raise _unusable("it names no host" if not parts.hostname else "it has a path")
    options = dict(parse_qsl(parts.query))
    if unknown := sorted(options.keys() - {"from"}):
        raise _unusable(f"it has {unknown[0]!r}; only `from` is known")
    user = unquote(parts.username or "")
    sender = options.get("from", user).replace(" ", "+")
    try:
        checked_address(sender)
    except Fault as fault:
        raise _unusable("it needs the sender's address as ?from=no-reply@example.com") from fault
    return Mailer(
        parts.scheme,
        parts.hostname,
        port or _PORTS[parts.scheme],
        sender,
        user,
        unquote(parts.password or ""),
    )


def _unusable(why: str) -> ProcessFault:
    # The URL itself holds a password, and isn't repeated.
    return ProcessFault("smtp_url_invalid", f"the SMTP URL can't be used: {why}", _EXAMPLE)


def _reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        refused = next(iter(error.recipients.values()), (0, b""))
        return f"the mail server refuses the address: {_said(refused[1])}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the mail server says {error.smtp_code} {_said(error.smtp_error)}"
    return str(error) or type(error).__name__


def _said(answer: bytes | str) -> str:
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    return " ".join(text.split())[:300]

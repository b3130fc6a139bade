"""Sends emails through an SMTP server, configured by one URL.

    smtp://user:password@host:587/?from=no-reply@example.com    STARTTLS if the server offers it
    smtp+starttls://…                                           requires STARTTLS
    smtps://user:password@host:465/?from=…                      TLS from the first byte

A password is never sent to another machine without TLS.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from urllib.parse import parse_qsl, unquote, urlsplit

from mosaic_deploy.platform.faults import Fault, ProcessFault
from mosaic_deploy.platform.projects.names import checked_email

SMTP_URL_VARIABLE = "MOSAIC_SMTP_URL"
_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_TIMEOUT_SECONDS = 20.0
_EXAMPLE = "e.g. smtps://user:password@mail.example.com:465/?from=no-reply@example.com"


class EmailNotSent(Exception):
    """The email wasn't sent. `maybe_sent`: it may have been, the server's response was lost."""

    def __init__(self, reason: str, *, maybe_sent: bool = False) -> None:
        super().__init__(reason)
        self.maybe_sent = maybe_sent


@dataclass(frozen=True)
class Mailer:
    """One SMTP server. Connects for each email, since there are few."""

    scheme: str
    host: str
    port: int
    sender: str
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def address(self) -> str:
        """URL without credentials."""
        return f"{self.scheme}://{self.host}:{self.port}"

    async def send(self, message: EmailMessage) -> None:
        """Returns once the server has accepted the email. Raises EmailNotSent."""
        await asyncio.to_thread(self._send, message)

    def _send(self, message: EmailMessage) -> None:
        server = None
        try:
            server = self._connect()
            self._log_in(server)
        except (OSError, smtplib.SMTPException) as error:
            if server is not None:
                server.close()
            raise EmailNotSent(_reason(error)) from error
        try:
            server.send_message(message)
        except OSError as error:
            # An error response means refused; a lost connection may mean accepted.
            got_response = isinstance(error, smtplib.SMTPResponseException | smtplib.SMTPRecipientsRefused)
            raise EmailNotSent(_reason(error), maybe_sent=not got_response) from error
        finally:
            # No QUIT: the email is accepted, and an error now would change nothing.
            server.close()

    def _connect(self) -> smtplib.SMTP:
        if self.scheme == "smtps":
            return smtplib.SMTP_SSL(
                self.host, self.port, timeout=_TIMEOUT_SECONDS, context=ssl.create_default_context()
            )
        return smtplib.SMTP(self.host, self.port, timeout=_TIMEOUT_SECONDS)

    def _log_in(self, server: smtplib.SMTP) -> None:
        server.ehlo_or_helo_if_needed()
        secure = self.scheme == "smtps"
        if not secure and (self.scheme == "smtp+starttls" or server.has_extn("starttls")):
            server.starttls(context=ssl.create_default_context())
            secure = True
        if self.user and not secure and self.host not in _LOOPBACK:
            raise smtplib.SMTPException("the server doesn't offer TLS, so the password wasn't sent")
        if self.user:
            server.login(self.user, self.password)


def mailer_from_url(url: str | None) -> Mailer | None:
    """None without a URL: emails then go to the local inbox. Raises ProcessFault for an invalid URL."""
    if not url or not url.strip():
        return None
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise _url_fault("it isn't a URL") from error
    if parts.scheme not in _PORTS:
        raise _url_fault("it must start with smtp://, smtp+starttls:// or smtps://")
    if not parts.hostname or parts.path not in ("", "/"):
        raise _url_fault("it has no host" if not parts.hostname else "it must not have a path")
    options = dict(parse_qsl(parts.query))
    if unknown := sorted(options.keys() - {"from"}):
        raise _url_fault(f"unknown option {unknown[0]!r}; only `from` is supported")
    user = unquote(parts.username or "")
    sender = options.get("from", user).replace(" ", "+")
    try:
        checked_email(sender)
    except Fault as fault:
        raise _url_fault("it needs a sender address, as in ?from=no-reply@example.com") from fault
    return Mailer(
        parts.scheme,
        parts.hostname,
        port or _PORTS[parts.scheme],
        sender,
        user,
        unquote(parts.password or ""),
    )


def _url_fault(why: str) -> ProcessFault:
    # The URL isn't quoted: it may contain a password.
    return ProcessFault("smtp_url_invalid", f"invalid SMTP URL: {why}", _EXAMPLE)


def _reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        refused = next(iter(error.recipients.values()), (0, b""))
        return f"the mail server refused the recipient: {_response_text(refused[1])}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the mail server answered {error.smtp_code} {_response_text(error.smtp_error)}"
    return str(error) or type(error).__name__


def _response_text(response: bytes | str) -> str:
    text = response.decode("utf-8", "replace") if isinstance(response, bytes) else response
    return " ".join(text.split())[:300]

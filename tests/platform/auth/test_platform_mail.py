"""Emails: their content, and sending them through a real SMTP server."""

from __future__ import annotations

import asyncio
import email
import email.policy
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from started_platform import create_project, run_platform

from mosaic_deploy.platform.auth.messages import magic_link_email
from mosaic_deploy.platform.auth.smtp import EmailNotSent, Mailer, mailer_from_url
from mosaic_deploy.platform.faults import ProcessFault
from mosaic_deploy.platform.machine.ports import free_port

LINK = "http://pod-16f.localhost:8787/" + "x" * 200 + "?token=T&email=a%40b.example"


def parsed(message: EmailMessage) -> EmailMessage:
    found = email.message_from_bytes(message.as_bytes(), policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Shop", "Shop"),
        ('Café "&" <Co>, Ltd.', 'Café "&" <Co>, Ltd.'),
        ("a\u2028Bcc: x@evil.example", "a Bcc: x@evil.example"),
        ("a\x85b\u2029c", "a b c"),
        ("\u202egnp.exe", "gnp.exe"),
        ("x" * 100, "x" * 100),
        ("😀 日本", "😀 日本"),
        ("\u200e", "Mosaic"),
        ("=?utf-8?q?=0d=0aBcc:_x=40evil.example?=", "= ?utf-8?q?=0d=0aBcc:_x=40evil.example?="),
        ("==??utf-8?q?=0d=0aBcc:_x=40evil.example?=", "== ??utf-8?q?=0d=0aBcc:_x=40evil.example?="),
    ],
)
def test_a_projects_name_is_safe_in_headers(name, shown) -> None:
    message = parsed(magic_link_email(name, "no-reply@shop.example", "a@b.example", LINK, 15))
    assert message["Bcc"] is None
    assert set(message.keys()) == {
        "Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
    }  # fmt: skip
    assert [one.addr_spec for one in message["From"].addresses] == ["no-reply@shop.example"]
    assert [one.addr_spec for one in message["To"].addresses] == ["a@b.example"]
    assert message["Subject"] == f"Sign in to {shown}"
    assert message["From"].addresses[0].display_name == shown
    plain, rich = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert rich is not None
    assert LINK in plain.get_content()
    assert LINK.replace("&", "&amp;") in rich.get_content()


class Postbox:
    """The handler of a test SMTP server: records emails and logins, or refuses them."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.refusal = ""
        self.logins: list[LoginPassword] = []

    async def handle_RCPT(self, _server, _session, envelope, address, _options) -> str:  # noqa: N802
        if self.refusal:
            return self.refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, session, envelope) -> str:  # noqa: N802
        self.messages.append((envelope, session.ssl is not None))
        return "250 OK"

    def authenticate(self, _server, _session, _envelope, _mechanism, data) -> AuthResult:
        self.logins.append(data)
        good = isinstance(data, LoginPassword) and data.password == b"p:@ss"
        return AuthResult(success=good, handled=good)


@pytest.fixture
def postbox() -> Postbox:
    return Postbox()


@pytest.fixture
def smtp(postbox) -> Iterator[int]:
    server = Controller(postbox, hostname="127.0.0.1", port=free_port())
    server.start()
    yield server.port
    server.stop()


@pytest.fixture(params=["smtp+starttls", "smtps", "smtp"])
def secure(request, postbox, certificate, monkeypatch) -> Iterator[str]:
    """The URL of a server with TLS, a password, and a certificate that this process trusts."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    monkeypatch.setenv("SSL_CERT_FILE", certificate[0])
    port = free_port()
    options: dict[str, Any] = {"authenticator": postbox.authenticate}
    if request.param == "smtps":
        # aiosmtpd's own check doesn't recognise implicit TLS.
        options |= {"ssl_context": context, "auth_require_tls": False}
    else:
        options |= {"tls_context": context, "require_starttls": True, "auth_required": True}
    server = Controller(postbox, hostname="localhost", port=port, **options)
    server.start()
    yield f"{request.param}://ada:p%3A%40ss@localhost:{port}/?from=no-reply@shop.example"
    server.stop()


def send(mailer: Mailer | None, recipient: str = "a@b.example") -> None:
    assert mailer is not None
    asyncio.run(mailer.send(magic_link_email("Café", mailer.sender, recipient, LINK, 15)))


def test_tls_and_password(secure, postbox) -> None:
    send(mailer_from_url(secure))
    (envelope, _), *others = postbox.messages
    assert not others
    assert (envelope.mail_from, envelope.rcpt_tos) == ("no-reply@shop.example", ["a@b.example"])
    with pytest.raises(EmailNotSent) as refused:
        send(mailer_from_url(secure.replace("p%3A%40ss", "wrong")))
    assert not refused.value.maybe_sent
    assert len(postbox.messages) == 1


def test_nothing_is_sent_under_an_untrusted_certificate(secure, postbox, monkeypatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(EmailNotSent, match=r"(?i)certificate") as refused:
        send(mailer_from_url(secure))
    assert not refused.value.maybe_sent
    assert (postbox.messages, postbox.logins) == ([], [])


def test_no_password_is_sent_without_tls(smtp, monkeypatch) -> None:
    mailer = mailer_from_url(f"smtp://ada:secret@localhost:{smtp}/?from=a@b.example")
    monkeypatch.setattr("mosaic_deploy.platform.auth.smtp._LOOPBACK", ())
    with pytest.raises(EmailNotSent, match="doesn't offer TLS"):
        send(mailer)
    with pytest.raises(EmailNotSent):
        send(mailer_from_url(f"smtp+starttls://127.0.0.1:{smtp}/?from=a@b.example"))


def test_a_lost_response_is_reported_as_unconfirmed() -> None:
    """The server accepts the email, but the connection ends before its response."""
    listener = socket.create_server(("127.0.0.1", 0))

    def take() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rwb", buffering=0) as lines:
            lines.write(b"220 x\r\n")
            for answer in (b"250 x\r\n", b"250 x\r\n", b"250 x\r\n", b"354 go\r\n"):
                lines.readline()
                lines.write(answer)
            while lines.readline() not in (b".\r\n", b""):
                pass

    thread = threading.Thread(target=take)
    thread.start()
    with listener, pytest.raises(EmailNotSent) as lost:
        send(mailer_from_url(f"smtp://127.0.0.1:{listener.getsockname()[1]}/?from=a@b.example"))
    thread.join()
    assert lost.value.maybe_sent


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com",
        "http://mail.example.com/?from=a@b.example",
        "smtp://",
        "smtp://host",
        "smtp://user:pw@host/",
        "smtp://host/path?from=a@b.example",
        "smtp://host:99999/?from=a@b.example",
        "smtp://host/?from=a@b.example&tls=no",
        "smtp://host/?from=a@b.example%0d%0aBcc:x@y.example",
    ],
)
def test_invalid_urls(url) -> None:
    with pytest.raises(ProcessFault) as refused:
        mailer_from_url(url)
    assert refused.value.code == "smtp_url_invalid"
    assert "pw" not in refused.value.message


def test_sending_through_a_platform(postbox, smtp, tmp_path_factory) -> None:
    """A refused email isn't counted, and nothing stays in the local inbox."""
    home = tmp_path_factory.mktemp("smtp home")
    os.environ["MOSAIC_SMTP_URL"] = f"smtp://127.0.0.1:{smtp}/?from=no-reply%40shop.example"
    try:
        started = run_platform(home, "start", "--port", str(free_port()))
    finally:
        del os.environ["MOSAIC_SMTP_URL"]
    try:
        assert started["emails"] == f"smtp://127.0.0.1:{smtp}"
        project_id = create_project(started["url"], started["api_key"], "Café")
        headers = {"X-API-Key": started["api_key"]}
        with httpx.Client(base_url=f"{started['url']}/v1/project/{project_id}", headers=headers) as api:
            _send_all(api, postbox)
            assert api.get(f"{started['url']}/inbox.json").json() == {"emails": []}
    finally:
        assert run_platform(home, "reset")["status"] == "reset"


def _send_all(api: httpx.Client, postbox: Postbox) -> None:
    postbox.refusal = "550 5.1.1 no such user"
    for _ in range(3):
        refused = api.post("/auth/magic-link", json={"email": "gone@example.com"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (502, "email_not_sent")
        assert "no such user" in refused.json()["error"]["message"]
    postbox.refusal = ""
    for number in range(10):
        sent = api.post("/auth/magic-link", json={"email": f"u{number}@example.com"})
        assert sent.status_code == 200, sent.text
    assert api.post("/auth/magic-link", json={"email": "late@example.com"}).status_code == 429
    assert [envelope.rcpt_tos for envelope, _ in postbox.messages] == [
        [f"u{number}@example.com"] for number in range(10)
    ]
    message = email.message_from_bytes(postbox.messages[0][0].content, policy=email.policy.default)
    assert message["Subject"] == "Sign in to Café"
    token = message.get_body(("plain",)).get_content().partition("token=")[2].partition("&")[0]
    verified = api.post("/auth/verify", json={"token": token, "email": "u0@example.com"})
    assert verified.json() == {"success": True, "email": "u0@example.com"}

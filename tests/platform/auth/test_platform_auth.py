"""Magic links: sent by email, single use, limited, only to the project's own site."""

from __future__ import annotations

import email
import email.policy
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest

from mosaic_deploy.platform.machine import state_folder


def send(api, project_id: str, **body: object) -> httpx.Response:
    return api.post(f"/{project_id}/auth/magic-link", json=body)


def last_email(api, project_id: str) -> dict[str, str]:
    emails = api.get(f"{api.root}/inbox.json").json()["emails"]
    newest = next(email for email in emails if email["project_id"] == project_id)
    return dict(api.get(f"{api.root}/inbox/{newest['id']}.json").json())


def token_of(link: str) -> dict[str, str]:
    query = parse_qs(urlsplit(link).query)
    return {"token": query["token"][0], "email": query["email"][0]}


def control(platform, statement: str, *values: object) -> None:
    state = state_folder.read_state(platform.home)
    assert state is not None
    where = f"host=127.0.0.1 port={state.postgres_port} dbname=mosaic_control user=mosaic"
    with psycopg.connect(where, password=state.postgres_password) as connection:
        connection.execute(statement.encode(), values)


def test_the_email_and_its_link(api, project) -> None:
    project_id = project("Café & <Co>")
    response = send(api, project_id, email="user+tag@example.com", redirect_url="/dashboard?tab=1#top")
    assert response.json() == {"success": True, "message": "Magic link sent! Check your email."}
    inbox_email = last_email(api, project_id)
    assert (inbox_email["subject"], inbox_email["to"]) == ("Sign in to Café & <Co>", "user+tag@example.com")
    port = api.root.rpartition(":")[2]
    assert inbox_email["link"].startswith(f"http://{project_id}.localhost:{port}/dashboard?tab=1&token=")
    assert inbox_email["link"].endswith("&email=user%2Btag%40example.com#top")
    assert inbox_email["link"] in inbox_email["text"]
    assert "<Co>" not in inbox_email["html"]
    parsed = email.message_from_string(inbox_email["message"], policy=email.policy.default)
    assert parsed["Subject"] == inbox_email["subject"]
    assert parsed.get_content_type() == "multipart/alternative"


def test_a_token_works_once(api, project) -> None:
    project_id = project()
    send(api, project_id, email="User@Example.com")
    token = token_of(last_email(api, project_id)["link"])
    other = api.post(f"/{project()}/auth/verify", json=token)
    assert (other.status_code, other.json()["error"]["code"]) == (401, "token_invalid")
    wrong = api.post(f"/{project_id}/auth/verify", json={**token, "email": "x@example.com"})
    assert wrong.json()["error"]["code"] == "token_invalid"
    first = api.post(f"/{project_id}/auth/verify", json=token)
    assert first.json() == {"success": True, "email": "User@Example.com"}
    second = api.post(f"/{project_id}/auth/verify", json=token)
    assert (second.status_code, second.json()["error"]["code"]) == (401, "token_used")


def test_concurrent_clicks_sign_in_once(api, project) -> None:
    project_id = project()
    send(api, project_id, email="race@example.com")
    token = token_of(last_email(api, project_id)["link"])

    def click(_: int) -> int:
        return api.site(project_id, "/.mosaic/auth/verify", method="POST", json=token).status_code

    with ThreadPoolExecutor(25) as threads:
        statuses = sorted(threads.map(click, range(100)))
    assert statuses == [200] + [401] * 99


def test_a_page_verifies_without_a_key_as_json_only(api, project) -> None:
    project_id = project()
    send(api, project_id, email="page@example.com")
    token = token_of(last_email(api, project_id)["link"])
    form = api.site(project_id, "/.mosaic/auth/verify", method="POST", data=token)
    assert form.status_code == 415
    good = api.site(project_id, "/.mosaic/auth/verify", method="POST", json=token)
    assert good.json() == {"success": True, "email": "page@example.com"}
    unknown = api.site("no-such", "/.mosaic/auth/verify", method="POST", json=token)
    assert unknown.status_code == 404


def test_tokens_expire_after_15_minutes(api, project, platform) -> None:
    project_id = project()
    send(api, project_id, email="late@example.com")
    control(
        platform,
        "UPDATE sign_in_token SET expires_at = expires_at - interval '15 minutes' WHERE project_id = %s",
        project_id,
    )
    late = api.post(f"/{project_id}/auth/verify", json=token_of(last_email(api, project_id)["link"]))
    assert (late.status_code, late.json()["error"]["code"]) == (401, "token_expired")


def test_ten_emails_a_day(api, project, platform) -> None:
    project_id = project()
    with ThreadPoolExecutor(15) as threads:
        responses = list(threads.map(lambda n: send(api, project_id, email=f"u{n}@example.com"), range(15)))
    assert sorted(response.status_code for response in responses) == [200] * 10 + [429] * 5
    refused = next(response for response in responses if response.status_code == 429)
    assert refused.json()["error"]["code"] == "email_limit_reached"
    assert refused.json()["error"]["next_at"] in refused.json()["error"]["message"]
    assert 86_000 < int(refused.headers["Retry-After"]) <= 86_400
    assert send(api, project(), email="other@example.com").status_code == 200
    control(
        platform,
        "UPDATE mail_count SET sent_at = sent_at - interval '1 day' WHERE project_id = %s",
        project_id,
    )
    assert send(api, project_id, email="next@example.com").status_code == 200


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "a@",
        "@b",
        "a b@c.example",
        "a@b.example\r\nBcc: x@y.example",
        "a@b@c",
        "<a@b.example>",
        "a@-b.example",
        "a,b@c.example",
        "x" * 65 + "@c.example",
        ".a@b.example",
        "a..b@c.example",
        "é@b.example",
        "=?utf-8?q?x=40evil.example?=@b.example",
        "=?utf-8?q?=0d=0aBcc=3ax=40evil.example?=@b.example",
        "a@b\x00.example",
    ],
)
def test_addresses_are_checked(api, untouched, address) -> None:
    assert send(api, untouched, email=address).status_code == 400


@pytest.mark.parametrize(
    "redirect",
    [
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "dashboard",
        "/\t/evil.example",
        "",
        " /x",
        "/a\r\nb",
        "/x//evil.example",
        "/ /evil.example",
    ],
)
def test_redirects_stay_on_the_site(api, untouched, redirect) -> None:
    refused = send(api, untouched, email="a@example.com", redirect_url=redirect)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "redirect_invalid")


def test_settings_are_stored_and_applied(api, project) -> None:
    project_id = project()
    assert api.get(f"/{project_id}/auth/settings").json() == {}
    allowed = ["/welcome", f"http://{project_id}.localhost:{api.root.rpartition(':')[2]}/app"]
    settings = {"magic_link": {"redirect_url": "/home", "allowed_redirect_urls": allowed, "extra": [1, None]}}
    assert api.put(f"/{project_id}/auth/settings", json=settings).json() == settings
    assert api.get(f"/{project_id}/auth/settings").json() == settings
    for redirect in ("/welcome", "/welcome?x=1", "/app", "/home"):
        assert send(api, project_id, email="a@example.com", redirect_url=redirect).status_code == 200
    refused = send(api, project_id, email="a@example.com", redirect_url="/elsewhere")
    assert refused.json()["error"]["code"] == "redirect_not_allowed"
    send(api, project_id, email="a@example.com")
    assert urlsplit(last_email(api, project_id)["link"]).path == "/home"
    for wrong in ({"magic_link": 1}, {"magic_link": {"redirect_url": "//evil.example"}}, {"a": "\x00"}):
        assert api.put(f"/{project_id}/auth/settings", json=wrong).status_code == 400


def test_tokens_and_the_key_are_not_logged(api, project, platform) -> None:
    project_id = project()
    send(api, project_id, email="a@example.com")
    token = token_of(last_email(api, project_id)["link"])["token"]
    log = (platform.home / "platform.log").read_text()
    assert token not in log
    assert platform.api_key not in log
    assert (platform.home / "platform.json").stat().st_mode & 0o777 == 0o600

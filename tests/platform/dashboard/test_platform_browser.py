"""The dashboard in a real browser: works without scripts, and other origins can't read it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import Page, find_chromium, opened_browser

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt-get install chromium")


@pytest.fixture
def page() -> Iterator[Page]:
    with opened_browser() as opened:
        yield opened


@pytest.fixture
def dashboard(api, page) -> Page:
    """A browser with a session. Scripts are off: the dashboard needs none."""
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    page.go(api.post(api.root + "/open").json()["url"], lands_on=api.root + "/")
    return page


def click(page: Page, selector: str, lands_on: str) -> None:
    """Clicks with the mouse."""
    place = page.value(
        f"(() => {{ const one = document.querySelector({selector!r}); one.scrollIntoView();"
        " const at = one.getBoundingClientRect(); return [at.x + at.width / 2, at.y + at.height / 2]; })()"
    )
    for kind in ("mousePressed", "mouseReleased"):
        page.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)
    page.wait_for_load(lands_on)


def test_reading_an_email_and_closing_a_ticket(api, project, dashboard) -> None:
    project_id = project("In the browser")
    api.post(f"/{project_id}/auth/magic-link", json={"email": "ada@example.com"})
    number = api.post("/tickets", json={"subject": "Broken", "message": "It is."}).json()["ticket_id"]
    email = api.get(api.root + "/inbox.json").json()["emails"][0]
    dashboard.go(api.root + "/")
    assert dashboard.value("document.querySelectorAll('h2').length") == 5
    assert project_id in dashboard.text()

    click(dashboard, f'a[href="/inbox/{email["id"]}"]', f"{api.root}/inbox/{email['id']}")
    assert email["link"] in dashboard.text()
    link = dashboard.value(f"document.querySelector('#text a').href === {email['link']!r}")
    assert link is True
    framed = "document.querySelector('iframe').getBoundingClientRect().height > 100"
    assert dashboard.value(framed) is True

    ticket = f"{api.root}/tickets/{number}"
    dashboard.go(ticket)
    click(dashboard, "main button", ticket)
    # The URL stays the same.
    dashboard.wait_for("[...document.querySelectorAll('dd')].some(one => one.innerText === 'closed')")
    assert api.get(f"/tickets/{number}").json()["status"] == "closed"
    assert dashboard.console_errors() == []

    click(dashboard, "header button", api.root + "/leave")
    dashboard.go(api.root + "/")
    assert "mosaic-deploy local open" in dashboard.text()


def test_the_dashboard_is_accessible(dashboard, api) -> None:
    """One main heading, landmarks, captions, and enough contrast in light and dark mode."""
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        dashboard.call("Emulation.setEmulatedMedia", features=features)
        dashboard.go(api.root + "/requests")
        assert dashboard.value("document.documentElement.lang") == "en"
        for one in ("h1", "main", "nav", "header", "footer"):
            assert dashboard.value(f"document.querySelectorAll({one!r}).length") == 1, one
        unlabelled = "[...document.querySelectorAll('table')].filter(one => !one.caption).length"
        assert dashboard.value(unlabelled) == 0
        for kind in ("h1", "td", "thead th", "footer", "a"):
            assert dashboard.value(_contrast(kind)) >= 4.5, (scheme, kind)
    dashboard.call(
        "Emulation.setDeviceMetricsOverride", width=360, height=700, deviceScaleFactor=1, mobile=True
    )
    dashboard.go(api.root + "/")
    assert dashboard.value("document.documentElement.scrollWidth") <= 360


def _contrast(selector: str) -> str:
    """WCAG's contrast ratio of a text and its background."""
    return f"""(() => {{
      const light = color => {{
        const [r, g, b] = color.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255)
          .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      }};
      let one = document.querySelector({selector!r});
      const text = light(getComputedStyle(one).color);
      while (getComputedStyle(one).backgroundColor === 'rgba(0, 0, 0, 0)') one = one.parentElement;
      const back = light(getComputedStyle(one).backgroundColor);
      return (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
    }})()"""


@pytest.mark.parametrize("place", ["site", "path"])
def test_a_projects_page_cant_read_the_dashboard(api, project, page, platform, place) -> None:
    """Neither by fetching nor by framing, though the browser has a session."""
    project_id = project("Curious")
    script = (
        "const root = ROOT; window.got = [];"
        "for (const path of ['/key', '/', '/inbox.json'])"
        " for (const mode of ['cors', 'no-cors'])"
        "  got.push(fetch(root + path, {credentials: 'include', mode}).then(a => a.text(), () => ''));"
        "const frame = document.createElement('iframe'); frame.src = root + '/key';"
        "got.push(new Promise(done => { frame.onload = () => {"
        " try { done(frame.contentDocument.body.innerText) } catch { done('') } } }));"
        "document.body.append(frame);"
    ).replace("ROOT", repr(api.root))
    api.put_file(project_id, "index.html", f"<!doctype html><body><script>{script}</script>")
    page.go(api.post(api.root + "/open").json()["url"], lands_on=api.root + "/")
    port = api.root.rpartition(":")[2]
    site = f"http://{project_id}.localhost:{port}/" if place == "site" else f"{api.root}/sites/{project_id}/"
    page.go(site)
    got = page.value("Promise.all(window.got)")
    assert len(got) == 7
    assert platform.api_key not in "".join(got)
    assert "".join(got).strip() == ""

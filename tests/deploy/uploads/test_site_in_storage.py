"""Static files of types that hosting refuses: in storage, with references rewritten, pruned with the site."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from browser import find_chromium, opened_browser

from mosaic_deploy.deploy import PlanOptions
from mosaic_deploy.diff.selection import Selection, parse_selector
from mosaic_deploy.errors import SourceRefused
from mosaic_deploy.model.change import DeleteStorageFile
from mosaic_deploy.model.event import ApplyDone
from tests.deploy.planning.test_incremental import follow, following

WASM = bytes.fromhex("0061736d0100000001070160027f7f017f030201000707010361646400000a09010700200020016a0b")
FILES: dict[str, str | bytes] = {
    "index.html": "<!doctype html><meta charset=utf-8><title>no</title><link rel=manifest href=site.webmanifest>"
    '<link rel=icon href="data:,"><link rel=stylesheet href=css/s.css>'
    '<video src="v/my clip.mp4"></video><script type=module src=js/a.js></script>',
    "css/s.css": "@font-face{font-family:f;src:url(../f/a.woff2?v=1)} body{font-family:f}",
    "js/a.js": 'import {add} from "./m.mjs"; document.title = "sum " + await add();\n//# sourceMappingURL=a.js.map\n',
    "js/m.mjs": 'import {two} from "./two.js"; export const add = async () => (await WebAssembly.instantiateStreaming('
    'fetch(new URL("add.wasm", import.meta.url)))).instance.exports.add(two, 3)',
    "js/two.js": "export const two = 2",
    "js/add.wasm": WASM,
    "js/a.js.map": "{}",
    "f/a.woff2": b"font",
    "v/my clip.mp4": b"clip",
    "site.webmanifest": '{"start_url": ".", "scope": "/", "icons": [{"src": "i.svg"}]}',
    "i.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
}  # fmt: skip


def fill(site, **static: object) -> None:
    for name, content in FILES.items():
        site.write(f"www/{name}", content)
    site.manifest(static={"dir": "www", "unsupported": "storage", "prune": True, **static})


GONE = ("f/a.woff2", "v/my clip.mp4")


def codes(planned) -> list[str]:
    return [note.code for note in planned.plan.notes]


def test_a_site_is_deployed_rewritten_edited_and_pruned(site) -> None:
    fill(site, keep=0)
    first = site.plan()
    assert "storage_address_assumed" in codes(first)
    addresses = [change.address for change in first.plan.changes]
    assert addresses.index("storage:_static/f/a.woff2") < addresses.index("static:css/s.css")
    site.apply()
    assert "url(../storage/_static/f/a.woff2?v=1)" in site.get("/css/s.css").text
    assert site.get("/storage/_static/v/my%20clip.mp4").content == b"clip"
    assert site.get("/storage/_static/site.webmanifest").json() == {
        "start_url": "../../",
        "scope": "/",
        "icons": [{"src": "../../i.svg"}],
    }
    again = site.plan(options=PlanOptions(compare_bytes=lambda *_: None))
    assert (again.plan.changes, again.plan.notes) == ((), ())

    (site.root / "www/f/a.woff2").unlink()
    site.write("www/css/s.css", "body{}")
    planned = site.plan()
    assert [each.address for each in planned.plan.changes] == [
        "static:css/s.css",
        "storage:_static/f/a.woff2",
    ]
    site.write("www/css/s.css", "a{b:url(../f/a.woff2)}")
    assert "link_broken" in codes(site.plan())
    site.apply()
    assert site.get("/storage/_static/f/a.woff2").status_code == 404


def test_a_file_that_an_open_page_may_still_load_stays_for_a_while(site) -> None:
    fill(site)
    site.apply()
    (site.root / "www/f/a.woff2").unlink()
    site.write("www/css/s.css", "body{}")
    [deleted] = [each for each in site.plan().plan.changes if isinstance(each, DeleteStorageFile)]
    assert (deleted.path, deleted.keep, deleted.approved) == ("_static/f/a.woff2", 3600.0, False)
    followed = following(site)
    assert follow(site, followed)
    assert not follow(site, followed)
    assert site.get("/storage/_static/f/a.woff2").content == b"font"
    planned = site.plan()
    [note] = [each for each in planned.plan.notes if each.code == "storage_retired"]
    assert (planned.plan.changes, note.addresses) == ((), ("storage:_static/f/a.woff2",))
    site.sql("UPDATE mosaic_deploy.objects SET retired_at = retired_at - interval '1 hour'")
    [deleted] = site.plan().plan.changes
    assert (deleted.path, deleted.keep, deleted.approved) == ("_static/f/a.woff2", 0.0, True)
    site.apply()
    assert site.get("/storage/_static/f/a.woff2").status_code == 404


def test_files_of_users_and_of_the_storage_section_are_left_alone(site) -> None:
    fill(site)
    site.apply()
    site.write("media/m.bin", b"own")
    site.manifest(
        static={"dir": "www", "unsupported": "storage", "prune": True},
        storage={"dir": "media", "prune": True},
    )
    site.apply()
    for name in GONE:
        (site.root / "www" / name).unlink()
    (site.root / "media/m.bin").unlink()
    site.write("media/n.bin", b"own")
    site.manifest(static={"dir": "www", "unsupported": "storage"}, storage={"dir": "media", "prune": True})
    planned = site.plan()
    stored = [each.address for each in planned.plan.changes if each.address.startswith("storage")]
    assert stored == ["storage:n.bin", "storage:m.bin"]
    [kept] = [note for note in planned.plan.notes if note.code == "storage_kept"]
    assert "static.prune" in kept.message
    site.manifest(static={"dir": "www", "unsupported": "storage", "prune": "all"})
    deleted = {each.address for each in site.plan().plan.changes if each.address.startswith("storage")}
    assert deleted == {f"storage:_static/{name}" for name in GONE}


def test_pages_are_selected_with_the_files_they_refer_to(site) -> None:
    fill(site)
    site.write("media/m.bin", b"own")
    site.manifest(static={"dir": "www", "unsupported": "storage"}, storage={"dir": "media"})
    chosen = PlanOptions(selection=Selection((parse_selector("static"),)))
    addresses = [each.address for each in site.plan(options=chosen).plan.changes]
    assert "storage:_static/f/a.woff2" in addresses
    assert "storage:m.bin" not in addresses


@pytest.mark.parametrize("edit", ["f/a.woff2", "css/s.css", "js/m.mjs"])
def test_a_watch_plans_as_from_reading_everything(site, edit: str) -> None:
    fill(site)
    followed = following(site)
    assert follow(site, followed)
    assert not follow(site, followed)
    site.write(f"www/{edit}", "/* new */ @import '../f/a.woff2'; url(missing.png)")
    assert follow(site, followed, f"www/{edit}")
    assert not follow(site, followed)


class OtherHost(httpx.HTTPTransport):
    """A platform with its storage on another host."""

    address = "https://s3.example.com/p/NAME"

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if request.method == "GET" and request.url.path.endswith("/storage"):
            response.read()
            document = response.json()
            for file in document["files"]:
                file["url"] = self.address.replace("NAME", file["filename"])
            return httpx.Response(200, json=document, request=request)
        return response


class Expiring(OtherHost):
    address = "https://s3.example.com/p/NAME?X-Amz-Expires=300"


def test_real_addresses_replace_assumed_ones_while_deploying(site, api_over) -> None:
    fill(site)
    api = api_over(OtherHost())
    assert isinstance(site.run(api=api)[-1], ApplyDone)
    assert "url(https://s3.example.com/p/_static/f/a.woff2?v=1)" in site.get("/css/s.css").text
    scope = site.get("/storage/_static/site.webmanifest").json()["scope"]
    assert scope == f"{site.plan().plan.project.url}/"
    second = site.plan(api)
    assert second.plan.changes == ()
    assert "storage_other_origin" in codes(second)


class Small(httpx.HTTPTransport):
    """A platform with a low limit."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if request.method == "GET" and request.url.path.endswith("/v1/project"):
            response.read()
            document = {**response.json(), "limits": {"static_file_bytes": 1_500_000}}
            return httpx.Response(200, json=document, request=request)
        return response


def test_files_over_the_limit_go_into_storage_if_they_may(site, api_over) -> None:
    site = replace(site, api=api_over(Small()))
    site.write("www/index.html", "<img src=big.png><img src=small.png>")
    site.write("www/big.png", b"x" * 1_500_001)
    site.write("www/small.png", b"x" * 1_500_000)
    site.manifest(static={"dir": "www"})
    with pytest.raises(SourceRefused, match="too large") as refused:
        site.plan()
    [problem] = refused.value.problems
    assert str(problem.location) == "www/big.png"
    assert problem.hint.startswith("set `unsupported: storage` under static")
    site.manifest(static={"dir": "www", "unsupported": "storage", "prune": True, "keep": 0})
    followed = following(site)
    assert follow(site, followed)
    assert "large_file_stored" in codes(site.plan())
    assert len(site.get("/storage/_static/big.png").content) == 1_500_001
    assert site.get("/").text == "<img src=storage/_static/big.png><img src=small.png>"
    site.write("www/small.png", b"x" * 1_500_002)
    site.write("www/big.png", b"x")
    assert follow(site, followed, "www/small.png", "www/big.png")
    assert not follow(site, followed)
    assert site.get("/").text == "<img src=big.png><img src=storage/_static/small.png>"
    site.write("www/index.html", "x" * 1_500_001)
    with pytest.raises(SourceRefused, match="too large") as refused:
        site.plan()
    assert refused.value.problems[0].hint.startswith("split the page")


def test_addresses_that_expire_are_refused(site, api_over) -> None:
    fill(site)
    site.apply()
    with pytest.raises(SourceRefused, match="no lasting addresses"):
        site.plan(api_over(Expiring()))


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt-get install chromium")
def test_no_request_fails_in_a_browser(site) -> None:
    fill(site)
    site.apply()
    url = site.plan().plan.project.url
    site.write(
        "www/late.html",
        "<link rel=icon href='data:,'><script type=module>self.late = () => import('./js/late.mjs').then(m => m.default)</script>",
    )
    site.write("www/js/late.mjs", "export default 'late'")
    site.apply()
    with opened_browser() as page:
        # A tab that loads what a deploy has removed since.
        page.go(f"{url}/late.html")
        page.wait_for("self.late !== undefined")
        site.write("www/late.html", "")
        (site.root / "www/js/late.mjs").unlink()
        site.apply()
        assert page.value("late()") == "late"
        page.go(f"{url}/")
        page.wait_for("document.title === 'sum 5'")
        assert [each for each in page.console_errors() if "404" in each or "CORS" in each] == []
        # Below /sites/ the page's origin is opaque, so these requests are cross-origin.
        port = url.rpartition(":")[2]
        page.go(f"http://127.0.0.1:{port}/sites/{site.project_id}/")
        page.wait_for("document.title !== 'no'")


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt-get install chromium")
def test_a_folder_whose_script_joins_names_works_in_a_browser(site) -> None:
    site.write(
        "www/index.html",
        '<link rel=icon href="data:,"><script type=module>const {find} = await import("/".trim() + "/find/".slice(1) + "find.js");'
        " document.title = await find('a')</script>",
    )
    site.write(
        "www/find/find.js",
        "const base = new URL('.', import.meta.url); export const find = async (key) => {"
        " const kind = await (await fetch(base + 'kind.json')).json();"
        " return (await fetch(`${base}part/${key}.pf_part`)).text().then((text) => kind + text) }",
    )
    site.write("www/find/kind.json", '"found "')
    site.write("www/find/part/a.pf_part", "part a")
    site.manifest(static={"dir": "www", "unsupported": "storage", "storage_folders": ["find"]})
    site.apply()
    assert site.plan().plan.changes == ()
    with opened_browser() as page:
        page.go(f"{site.plan().plan.project.url}/")
        page.wait_for("document.title === 'found part a'")
        assert [each for each in page.console_errors() if "404" in each] == []

"""Which redirects become stub pages, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from urllib.parse import unquote, urlsplit

from mosaic_deploy.errors import Location, Problem
from mosaic_deploy.model.manifest import STORAGE_PATH, is_served, serving_names
from mosaic_deploy.source.files.names import name_problem
from mosaic_deploy.source.routes.redirects_file import Redirect, has_placeholder
from mosaic_deploy.source.routes.stub_pages import is_page_path, stub_name


def stub_redirects(
    redirects: Iterable[Redirect], files: Collection[str], *, has_fallback: bool
) -> tuple[dict[str, Redirect], list[Problem]]:
    """The redirects by the name of their stub page, and the problems of all.

    `files` are the site's other files. With a fallback, a target without a file is a route of the app.
    """
    chosen: dict[str, Redirect] = {}
    problems: list[Problem] = []
    for redirect in redirects:
        if _is_done_by_hosting(redirect, files):
            continue
        earlier = chosen.get(_page(redirect.source))
        if reason := _source_mistake(redirect, files) or _repetition(redirect, earlier):
            problems.append(_problem(redirect, redirect.location, "from", reason))
        elif earlier is None:
            chosen[_page(redirect.source)] = redirect
    looping = [path for path in chosen if _chain(chosen, path)[-1:] == [path]]
    problems += [_loop_problem(chosen, path) for path in looping]
    chosen = {path: each for path, each in chosen.items() if path not in looping}
    stubs = {stub_name(each.source): each for each in chosen.values()}
    if not has_fallback:
        answering = {*files, *stubs}
        problems += [
            _problem(each, each.target_location, "to", f"no page answers {each.target}")
            for each in chosen.values()
            if _is_missing(each.target, answering)
        ]
    return stubs, problems


def _problem(redirect: Redirect, location: Location, member: str, reason: str) -> Problem:
    if redirect.field:
        return Problem(reason, location, f"{redirect.field}.{member}")
    return Problem(f"{redirect.source}: {reason}", location)


def _is_done_by_hosting(redirect: Redirect, files: Collection[str]) -> bool:
    """Whether it is between two spellings of one page that hosting answers both: `/blog` and `/blog/`."""
    path = _local_path(redirect.target)
    return path is not None and _page(path) == _page(redirect.source) and is_served(path, files)


def _source_mistake(redirect: Redirect, files: Collection[str]) -> str:
    parts = unquote(redirect.source).strip("/").split("/")
    name = stub_name(redirect.source)
    if any(part in (".", "..") or (not part and len(parts) > 1) for part in parts):
        return "isn't a path"
    if has_placeholder(redirect.source):
        return "placeholders aren't possible, because hosting answers files only"
    if not is_page_path(redirect.source):
        return (
            "isn't the path of a page, and a page in its place would be wrong for the programs that read it"
        )
    if problem := name_problem(name, name):
        return problem.message
    if found := next((each for each in serving_names(redirect.source) if each in files), None):
        return f"{found} answers this path and stays; delete it to redirect"
    return f"{name} answers this path and stays; delete it to redirect" if name in files else ""


def _repetition(redirect: Redirect, earlier: Redirect | None) -> str:
    if earlier is None or (not redirect.field and earlier.target == redirect.target):
        return ""
    return f"is redirected already ({earlier.location}), and the first counts"


def _chain(redirects: Mapping[str, Redirect], path: str) -> list[str]:
    """The paths that a browser comes to from `path`, until one that isn't redirected or was there before."""
    found: dict[str, None] = {}
    here = path
    while here in redirects and (target := _local_path(redirects[here].target)) is not None:
        here = _page(target)
        if here in found:
            break
        found[here] = None
        if here == path:
            break
    return list(found)


def _loop_problem(redirects: Mapping[str, Redirect], path: str) -> Problem:
    redirect = redirects[path]
    way = " → ".join([f"/{each}" for each in (path, *_chain(redirects, path))])
    return _problem(redirect, redirect.target_location, "to", f"leads back to itself: {way}")


def _is_missing(target: str, files: Collection[str]) -> bool:
    path = _local_path(target)
    return path is not None and not path.startswith(STORAGE_PATH) and not is_served(path, files)


def _local_path(target: str) -> str | None:
    """The path of a target on this site; None if it is a URL."""
    return urlsplit(target).path if target.startswith("/") and not target.startswith("//") else None


def _page(path: str) -> str:
    """One spelling for the paths with and without a slash at the end."""
    return unquote(path).strip("/")

"""Which redirects become stub pages, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from urllib.parse import unquote, urlsplit

from mosaic_deploy.errors import Location, Problem
from mosaic_deploy.model.manifest import STORAGE_PATH, is_served, serving_names
from mosaic_deploy.source.files.names import name_problem
from mosaic_deploy.source.routes.redirects_file import Redirect, has_placeholder
from mosaic_deploy.source.routes.stub_pages import is_page_path, stub_name

_MAX_SHOWN = 5


def stub_redirects(
    redirects: Iterable[Redirect], files: Collection[str], *, has_fallback: bool
) -> tuple[dict[str, Redirect], list[Problem]]:
    """The redirects by the name of their stub page, and the problems of all.

    `files` are the site's other files. With a fallback, a target without a file is a route of the app.
    """
    chosen: dict[str, Redirect] = {}
    problems: list[Problem] = []
    for redirect in redirects:
        if not _is_address(redirect.target):
            message = f"{redirect.target} isn't a URL: its host or port isn't valid"
            problems.append(_problem(redirect, redirect.target_location, "to", message))
            continue
        if _is_done_by_hosting(redirect, files):
            continue
        name = stub_name(redirect.source)
        earlier = chosen.get(name)
        if reason := _source_mistake(redirect, files) or _repetition(redirect, earlier):
            problems.append(_problem(redirect, redirect.location, "from", reason))
        elif earlier is None:
            chosen[name] = redirect
    for loop in list(_loops(chosen, files)):
        problems += [_loop_problem([*loop[at:], *loop[: at + 1]]) for at in range(len(loop))]
        for redirect in loop:
            del chosen[stub_name(redirect.source)]
    if not has_fallback:
        answering = {*files, *chosen}
        problems += [
            _problem(each, each.target_location, "to", f"no page answers {each.target}")
            for each in chosen.values()
            if _is_missing(each.target, answering)
        ]
    return chosen, problems


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
    if f"/{name}".startswith(STORAGE_PATH):
        return f"isn't possible, because storage files answer all paths below {STORAGE_PATH}"
    if problem := name_problem(name, name):
        return problem.message
    found = next((each for each in (*serving_names(redirect.source), name) if each in files), None)
    return f"{found} answers this path and stays; delete it to redirect" if found else ""


def _repetition(redirect: Redirect, earlier: Redirect | None) -> str:
    if earlier is None or (not redirect.field and earlier.target == redirect.target):
        return ""
    return f"is redirected already ({earlier.location}), and the first counts"


def _loops(stubs: Mapping[str, Redirect], files: Container[str]) -> Iterator[list[Redirect]]:
    """The redirects that lead from one to the next and back, each in one list."""
    reached: dict[str, str] = {}
    """Stub page → the one from which it was reached first."""
    for start in stubs:
        here: str | None = start
        way: list[str] = []
        while here is not None and here not in reached:
            reached[here] = start
            way.append(here)
            here = _answering_stub(stubs[here].target, stubs, files)
        if here is not None and reached[here] == start:
            yield [stubs[each] for each in way[way.index(here) :]]


def _answering_stub(target: str, stubs: Container[str], files: Container[str]) -> str | None:
    """The stub page that answers a target; None if a file of the site does, or nothing."""
    path = _local_path(target)
    names = serving_names(path) if path is not None else ()
    found = next((name for name in names if name in files or name in stubs), None)
    return found if found is not None and found not in files else None


def _loop_problem(loop: Sequence[Redirect]) -> Problem:
    """About the first one, which is also the last."""
    shown = [*loop[:_MAX_SHOWN], loop[-1]] if len(loop) > _MAX_SHOWN else loop
    way = [f"/{_page(each.source)}" for each in shown]
    if len(loop) > _MAX_SHOWN:
        way.insert(_MAX_SHOWN, "…")
    message = f"leads back to itself: {' → '.join(way)}"
    return _problem(loop[0], loop[0].target_location, "to", message)


def _is_address(target: str) -> bool:
    """Whether it is a path, or a URL whose host and port can be read."""
    try:
        parts = urlsplit(target)
        _ = parts.port
    except ValueError:
        return False
    return bool(parts.hostname) or not parts.netloc


def _is_missing(target: str, files: Collection[str]) -> bool:
    path = _local_path(target)
    return path is not None and not path.startswith(STORAGE_PATH) and not is_served(path, files)


def _local_path(target: str) -> str | None:
    """The path of a target on this site; None if it is a URL."""
    return urlsplit(target).path if target.startswith("/") and not target.startswith("//") else None


def _page(path: str) -> str:
    """One spelling for the paths with and without a slash at the end."""
    return unquote(path).strip("/")

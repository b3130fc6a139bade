"""Frameworks that are packages of JavaScript: what they build, where to, and whether hosting can serve it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from mosaic_deploy.source.detection.packages import Package, lock_file, needed_packages, workspace_command
from mosaic_deploy.source.detection.settings import (
    computes_setting,
    script_flag,
    script_setting,
    without_comments,
)
from mosaic_deploy.source.detection.site import (
    Build,
    Project,
    Rank,
    Site,
    base_note,
    with_fallback,
)
from mosaic_deploy.source.detection.tree import join, relative

Refine = Callable[[Project, Package, Site, str], Site | None]
"""(project, package, site as its row has it, text of its settings) → the site as it is; None if it is none."""


@dataclass(frozen=True, slots=True)
class Framework:
    """A framework: the packages that show it, its settings file, its output, and `command`, with which it builds."""

    title: str
    packages: tuple[str, ...]
    settings: str
    """Pattern of the settings file's name."""
    output: str
    command: str
    output_setting: str = ""
    base_setting: str = ""
    rank: Rank = Rank.APP
    refine: Refine | None = None


def script_sites(project: Project) -> Iterator[Site]:
    """The sites of all packages."""
    for package in project.packages.values():
        for framework in FRAMEWORKS:
            if package.dependencies & set(framework.packages) and (
                site := _site(project, package, framework)
            ):
                yield site


def package_build(project: Project, package: Package, command: str) -> Build:
    """A build in the package's folder; its inputs include the packages beside it that it needs, and they are built before it."""
    needed = needed_packages(project.packages, package)
    inputs = (package.folder, *sorted(each.folder for each in needed)) if needed else ()
    whole = workspace_command(package, needed) if command == f"{package.manager} run build" else None
    lock = lock_file(project.tree.root, package.folder) if whole else None
    if whole and lock:
        workspace = relative(str(lock.parent), str(project.tree.root.resolve()))
        return Build(whole, workspace, inputs, package.manager)
    return Build(command, package.folder, inputs, package.manager)


def _site(project: Project, package: Package, framework: Framework) -> Site | None:
    file = project.tree.find(package.folder, re.compile(framework.settings))
    text = project.tree.read(file)
    words = re.compile(rf"\b{re.escape(framework.command)}\b")
    command = package.command(words, framework.command)
    output = script_setting(text, framework.output_setting) if framework.output_setting else None
    notes = base_note(text, framework.base_setting, file) if framework.base_setting and file else ()
    if file and framework.output_setting and computes_setting(text, framework.output_setting):
        notes += (f"{file} computes {framework.output_setting}: check static.dir",)
    site = Site(
        package.folder,
        framework.title,
        join(package.folder, output or framework.output),
        package_build(project, package, command or framework.command),
        project.rank(package.folder, framework.rank),
        notes=notes,
    )
    return framework.refine(project, package, site, text) if framework.refine else site


def _needs_server(site: Site, remedy: str) -> Site:
    return replace(site, problem=f"needs a server here, and Mosaic serves files only: {remedy}")


_INPUT = re.compile(r"\binput\s*[:,]")
_PAGE_NAME = re.compile(r"\.html\b")
"""In settings with an input of their own: pages in other places than the root. Server frameworks have scripts as input."""


def _vite(project: Project, package: Package, site: Site, text: str) -> Site | None:
    """Only with a page, which libraries and the parts of server frameworks don't have."""
    root = join(package.folder, script_setting(text, "root") or ".")
    pages = [name for name in project.tree.files(root) if name.endswith(".html")]
    code = without_comments(text)
    if "index.html" not in pages and not (_INPUT.search(code) and _PAGE_NAME.search(code)):
        return None
    if re.search(r"\blib\s*:\s*\{", code):
        return None
    assert site.build is not None
    flag = re.search(r"""--outDir[ =](["']?)([^\s"';&|]+)\1""", package.script_of(site.build.command))
    output = (flag and flag[2]) or script_setting(text, "outDir") or "dist"
    public = script_setting(text, "publicDir") or "public"
    found = replace(site, dir=join(root, output), public=join(root, public))
    return with_fallback(project, found, package) if len(pages) == 1 else found


def _next(project: Project, package: Package, site: Site, text: str) -> Site | None:
    """Only with pages, which packages of components don't have."""
    places = (join(package.folder, name) for name in ("pages", "app", "src/pages", "src/app"))
    if not text and not package.runs(r"\bnext\b") and not any(map(project.tree.files, places)):
        return None
    if script_setting(text, "output") == "export":
        folder = join(package.folder, script_setting(text, "distDir") or "out")
        return replace(site, dir=folder, clean_urls=not script_flag(text, "trailingSlash"))
    return _needs_server(site, 'set output: "export" in its settings')


def _astro(_project: Project, _package: Package, site: Site, text: str) -> Site:
    if script_setting(text, "output") in ("server", "hybrid"):
        return _needs_server(site, 'remove output: "server" from its settings')
    return replace(site, clean_urls=script_setting(text, "format") in ("file", "preserve"))


_LAYOUT = re.compile(r"\+layout(?:\.server)?\.[jt]s")
_ALWAYS_SLASH = re.compile(r"\btrailingSlash\b[^=]*=\s*[\"'`]always[\"'`]")


def _adds_slash(project: Project, package: Package) -> bool:
    """Whether SvelteKit writes pages as folders."""
    routes = join(package.folder, "src/routes")
    files = [join(routes, name) for name in project.tree.files(routes) if _LAYOUT.fullmatch(name)]
    return any(_ALWAYS_SLASH.search(without_comments(project.tree.read(file))) for file in files)


def _sveltekit(project: Project, package: Package, site: Site, text: str) -> Site:
    # Since version 3, the adapter may be set in Vite's settings.
    text += project.tree.read(project.tree.find(package.folder, re.compile(r"vite\.config\.[mc]?[jt]s")))
    if "@sveltejs/adapter-static" not in without_comments(text):
        return _needs_server(site, "use @sveltejs/adapter-static")
    fallback = script_setting(text, "fallback")
    pages = join(package.folder, script_setting(text, "pages") or "build")
    fallback = fallback if fallback != "404.html" else None
    return replace(site, dir=pages, fallback=fallback, clean_urls=not _adds_slash(project, package))


def _react_router(_project: Project, package: Package, site: Site, text: str) -> Site:
    if not re.search(r"\bssr\s*:\s*false\b", without_comments(text)):
        return _needs_server(site, "set ssr: false in react-router.config.ts")
    folder = join(package.folder, script_setting(text, "buildDirectory") or "build")
    prerendered = re.search(r"\bprerender\s*[:(]", without_comments(text))
    fallback = "__spa-fallback.html" if prerendered else "index.html"
    return replace(site, dir=f"{folder}/client", fallback=fallback)


def _server_only(_project: Project, _package: Package, site: Site, _text: str) -> Site:
    return _needs_server(site, "have it make a static site")


def _nuxt(_project: Project, package: Package, site: Site, _text: str) -> Site:
    """`nuxt generate` makes files; `nuxt build` makes a server."""
    command = "npx nuxt generate"
    if "nuxt generate" in package.scripts.get("build", ""):
        command = f"{package.manager} run build"
    elif "generate" in package.scripts:
        command = f"{package.manager} run generate"
    assert site.build is not None
    return replace(site, build=replace(site.build, command=command))


def _page_app(project: Project, package: Package, site: Site, _text: str) -> Site:
    return with_fallback(project, site, package)


def _create_react_app(project: Project, package: Package, site: Site, _text: str) -> Site | None:
    """Only with a page or a script that builds it: other packages depend on react-scripts for its settings."""
    builds = package.runs(r"\b(react-scripts|react-app-rewired|craco|rescripts) build\b")
    page = project.tree.has(join(package.folder, "public/index.html"))
    if not builds and ("build" in package.scripts or not page):
        return None
    return with_fallback(project, site, package)


def _webpack(project: Project, package: Package, site: Site, text: str) -> Site | None:
    """Only with a plugin that makes a page. Its settings are often in several files."""
    names = (name for name in project.tree.files(package.folder) if _WEBPACK_SETTINGS.fullmatch(name))
    text += "\n".join(project.tree.read(join(package.folder, name)) for name in names)
    if "html-webpack-plugin" not in without_comments(text) or not package.runs(r"\bwebpack\b(?!-dev| serve)"):
        return None
    output = re.search(r"\boutput\s*:\s*\{.*", without_comments(text), re.DOTALL)
    folder = script_setting(output[0], "path") if output else None
    return with_fallback(project, replace(site, dir=join(package.folder, folder or "dist")), package)


def _documentation(project: Project, package: Package, site: Site, _text: str) -> Site | None:
    """VitePress and VuePress: the site is in the folder that has their hidden folder, or that the script names."""
    tool = "vitepress" if site.framework == "VitePress" else "vuepress"
    hidden = f".{tool}"
    places = [
        place
        for place, content in project.tree.folders.items()
        if hidden in content.folders and project.package_of(place) is package
    ]
    script = re.search(rf"\b{tool} build\s+([\w./-]+)", " ".join(package.scripts.values()))
    docs = join(package.folder, "docs")
    usual = docs if project.tree.has(join(docs, "index.md")) else package.folder
    place = next(iter(places), None) or (join(package.folder, script[1]) if script else usual)
    file = project.tree.find(f"{place}/{hidden}", re.compile(r"config\.[mc]?[jt]s"))
    text = project.tree.read(file)
    output = script_setting(text, "outDir" if tool == "vitepress" else "dest")
    if output:
        folder = join(place if tool == "vitepress" else package.folder, output)
    else:
        folder = join(place, f"{hidden}/dist")
    argument = "" if place == package.folder else f" {shlex.quote(relative(place, package.folder))}"
    command = package.command(re.compile(rf"\b{tool} build\b"), f"{tool} build{argument}")
    notes = base_note(text, "base", file) if file else ()
    assert site.build is not None
    build = replace(site.build, command=command or "")
    return replace(
        site, dir=folder, build=build, notes=notes, clean_urls=bool(script_flag(text, "cleanUrls"))
    )


def _flagged(_project: Project, _package: Package, site: Site, text: str) -> Site:
    """Docusaurus and Rspress have a setting for pages without a folder."""
    files = script_flag(text, "trailingSlash") is False or bool(script_flag(text, "cleanUrls"))
    return replace(site, clean_urls=files)


_MODULE = r"[mc]?[jt]s"
_WEBPACK_SETTINGS = re.compile(rf"webpack[\w.-]*\.{_MODULE}")

FRAMEWORKS = (
    Framework("Astro", ("astro",), rf"astro\.config\.{_MODULE}", "dist", "astro build", "outDir", "base", refine=_astro),
    Framework("SvelteKit", ("@sveltejs/kit",), rf"svelte\.config\.{_MODULE}", "build", "vite build", refine=_sveltekit),
    Framework("React Router", ("@react-router/dev",), rf"react-router\.config\.{_MODULE}", "build/client", "react-router build", refine=_react_router),
    Framework("Next.js", ("next",), rf"next\.config\.{_MODULE}", "out", "next build", "", "basePath", refine=_next),
    Framework("Nuxt", ("nuxt",), rf"nuxt\.config\.{_MODULE}", ".output/public", "nuxt generate", "", "baseURL", refine=_nuxt),
    Framework("Gatsby", ("gatsby",), rf"gatsby-config\.{_MODULE}", "public", "gatsby build", "", "pathPrefix"),
    Framework("Create React App", ("react-scripts", "react-app-rewired", "@craco/craco"), r"(?!)", "build", "react-scripts build", refine=_create_react_app),
    Framework("Vue CLI", ("@vue/cli-service",), r"vue\.config\.js", "dist", "vue-cli-service build", "outputDir", "publicPath", refine=_page_app),
    Framework("Vite", ("vite", "rolldown-vite"), rf"vite\.config\.{_MODULE}", "dist", "vite build", "outDir", "base", refine=_vite),
    Framework("Docusaurus", ("@docusaurus/core",), rf"docusaurus\.config\.{_MODULE}", "build", "docusaurus build", "", "baseUrl", Rank.DOCS, _flagged),
    Framework("VitePress", ("vitepress",), r"(?!)", ".vitepress/dist", "vitepress build", rank=Rank.DOCS, refine=_documentation),
    Framework("VuePress", ("vuepress",), r"(?!)", ".vuepress/dist", "vuepress build", rank=Rank.DOCS, refine=_documentation),
    Framework("Eleventy", ("@11ty/eleventy",), rf"\.?eleventy(\.config)?\.{_MODULE}", "_site", "eleventy", "output", "pathPrefix"),
    Framework("Hexo", ("hexo",), r"(?!)", "public", "hexo generate"),
    Framework("Rspress", ("rspress", "@rspress/core"), rf"rspress\.config\.{_MODULE}", "doc_build", "rspress build", "outDir", "base", Rank.DOCS, _flagged),
    Framework("webpack", ("webpack",), r"(?!)", "dist", "webpack", refine=_webpack),
    Framework("SolidStart", ("@solidjs/start",), r"(?!)", "dist", "vinxi build", refine=_server_only),
    Framework("TanStack Start", ("@tanstack/react-start", "@tanstack/solid-start"), r"(?!)", "dist", "vite build", refine=_server_only),
    Framework("Remix", ("@remix-run/dev",), r"(?!)", "build", "remix build", refine=_server_only),
    Framework("Qwik City", ("@builder.io/qwik-city",), r"(?!)", "dist", "qwik build", refine=_server_only),
)  # fmt: skip

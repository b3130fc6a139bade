"""Site generators that aren't packages of JavaScript: Hugo, Jekyll, MkDocs, Sphinx, mdBook and others."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mosaic_deploy.source.detection.settings import line_setting
from mosaic_deploy.source.detection.site import Build, Project, Rank, Site
from mosaic_deploy.source.detection.tree import Tree, join, relative

Output = Callable[[str], str | None]
"""Text of the settings → the output if they name one."""


@dataclass(frozen=True, slots=True)
class Generator:
    """A generator: its settings file, `shown`, which tells it from others that use that name, and its output and command."""

    title: str
    settings: str
    shown: Callable[[Tree, str, str], bool]
    """(tree, folder, text of the settings) → whether it is this generator."""
    output: str
    stated_output: Output
    command: str
    rank: Rank = Rank.APP
    note: str = ""


def generator_sites(project: Project) -> Iterator[Site]:
    """The sites of all generators, at most one per folder."""
    for folder in project.tree.folders:
        for generator in GENERATORS:
            file = project.tree.find(folder, re.compile(generator.settings))
            if file is None:
                continue
            text = project.tree.read(file)
            if generator.shown(project.tree, folder, text):
                yield _site(project, folder, generator, text)
                break
        if site := _sphinx(project, folder):
            yield site


def _site(project: Project, folder: str, generator: Generator, text: str) -> Site:
    output = generator.stated_output(text) or generator.output
    command = generator.command
    if generator.title == "Jekyll" and "Gemfile" in project.tree.files(folder):
        command = f"bundle exec {command}"
    return Site(
        folder,
        generator.title,
        join(folder, output),
        Build(command, folder),
        project.rank(folder, generator.rank),
        notes=(generator.note,) if generator.note else (),
    )


def _any(_tree: Tree, _folder: str, _text: str) -> bool:
    return True


def _line(name: str) -> Output:
    return lambda text: line_setting(text, name)


def _is_hugo(tree: Tree, folder: str, text: str) -> bool:
    """`config.toml` is a name of other programs, too."""
    named = any(name.startswith("hugo.") for name in tree.files(folder))
    parts = {"content", "layouts", "archetypes", "themes"} & set(tree.subfolders(folder))
    return bool(parts) and (named or re.search(r"\bbaseurl\b", text, re.IGNORECASE) is not None)


def _is_jekyll(tree: Tree, folder: str, _text: str) -> bool:
    files = tree.files(folder)
    if "jekyll" in tree.read(join(folder, "Gemfile")) or "github-pages" in tree.read(join(folder, "Gemfile")):
        return True
    return bool({"_posts", "_layouts", "_includes", "_pages"} & set(tree.subfolders(folder))) or (
        "Gemfile" not in files and {"index.md", "index.html"} & set(files) != set()
    )


def _book_output(text: str) -> str | None:
    """With several kinds of output, each has a folder of its own."""
    folder = line_setting(text, "build-dir") or "book"
    kinds = {name.partition(".")[0] for name in re.findall(r"^\[output\.([\w.-]+)\]", text, re.MULTILINE)}
    return f"{folder}/html" if len(kinds) > 1 else folder


def _quarto_output(text: str) -> str | None:
    return line_setting(text, "output-dir") or ("_book" if "type: book" in text else None)


GENERATORS = (
    Generator("Hugo", r"hugo\.(toml|ya?ml|json)|config\.(toml|ya?ml|json)", _is_hugo, "public", _line("publishDir"), "hugo --baseURL /"),
    Generator("Zola", r"(zola|config)\.toml", lambda tree, folder, text: "base_url" in text and "content" in tree.subfolders(folder),
              "public", _line("output_dir"), "zola build", note="Zola's addresses begin with base_url: set it to the site's URL"),
    Generator("Jekyll", r"_config\.ya?ml", _is_jekyll, "_site", _line("destination"), "jekyll build"),
    Generator("MkDocs", r"mkdocs\.ya?ml", _any, "site", _line("site_dir"), "mkdocs build", Rank.DOCS),
    Generator("mdBook", r"book\.toml", _any, "book", _book_output, "mdbook build", Rank.DOCS),
    Generator("Pelican", r"pelicanconf\.py", _any, "output", _line("OUTPUT_PATH"), "pelican -s pelicanconf.py"),
    Generator("Quarto", r"_quarto\.ya?ml", lambda _tree, _folder, text: re.search(r"type:\s*(website|book)", text) is not None,
              "_site", _quarto_output, "quarto render", Rank.DOCS),
)  # fmt: skip


def _sphinx(project: Project, folder: str) -> Site | None:
    """By conf.py beside the first page. The output is that of Sphinx's own Makefile."""
    tree = project.tree
    if "conf.py" not in tree.files(folder):
        return None
    text = tree.read(join(folder, "conf.py"))
    root = line_setting(text, "master_doc") or line_setting(text, "root_doc") or "index"
    pages = {f"{root}.rst", f"{root}.md", f"{root}.txt", f"{root}.ipynb"} & set(tree.files(folder))
    if not pages or not re.search(r"^\s*(extensions|html_theme|project)\s*=", text, re.MULTILINE):
        return None
    parent = folder.rpartition("/")[0] or "."
    separate = folder.rpartition("/")[2] == "source" and bool(
        {"Makefile", "make.bat"} & set(tree.files(parent))
    )
    place = parent if separate else folder
    stated = line_setting(tree.read(join(place, "Makefile")), r"BUILDDIR\s*\??")
    output = join(place, f"{stated or ('build' if separate else '_build')}/html")
    # The folder of doctrees is in the output then, so the build doesn't change its inputs.
    command = shlex.join(["sphinx-build", "-b", "html", relative(folder, place), relative(output, place)])
    return Site(folder, "Sphinx", output, Build(command, place), project.rank(folder, Rank.DOCS))

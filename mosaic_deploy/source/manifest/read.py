"""Reads `mosaic.yaml`: from the file to a Manifest, or to all of its mistakes at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mosaic_deploy.errors import Location, ManifestInvalid, Problem, SourceUnreadable
from mosaic_deploy.model.manifest import Manifest
from mosaic_deploy.schema_files import read_schema
from mosaic_deploy.source.manifest.dotenv import parse_dotenv
from mosaic_deploy.source.manifest.find import MANIFEST_NAMES, find_manifest
from mosaic_deploy.source.manifest.folders import folder_problems
from mosaic_deploy.source.manifest.interpolation import Interpolator
from mosaic_deploy.source.manifest.schema_check import conforms
from mosaic_deploy.source.manifest.text import SourceText, SourceTextError, read_source_text, source_text
from mosaic_deploy.source.manifest.values import (
    build_manifest,
    duration_problems,
    merge_overrides,
    valid_sections,
)
from mosaic_deploy.source.manifest.yaml_tree import Node, compose, describe_value, quoted

SCHEMA = "mosaic.schema.json"
ReadResult = tuple[Manifest, ManifestInvalid | None]
"""A whole manifest and None, or what is good of one with what is wrong."""


def read_manifest(
    path: Path, *, environment: str | None = None, environ: Mapping[str, str] = os.environ
) -> Manifest:
    """The manifest at `path`, a file or the folder that holds it, with one environment's overrides laid over it.

    Variables come from `environ`, else from `.env` beside the manifest. ManifestMissing where there is none,
    ManifestInvalid with every Problem by position, SourceUnreadable where the system doesn't let it be read.
    Sends nothing, writes nothing.
    """
    manifest, refused = try_read_manifest(path, environment=environment, environ=environ)
    if refused:
        raise refused
    return manifest


def try_read_manifest(
    path: Path, *, environment: str | None = None, environ: Mapping[str, str] = os.environ
) -> ReadResult:
    """As `read_manifest`, but a manifest with mistakes is given as far as it names files beyond doubt, with its error.

    ManifestInvalid is raised where that is not at all.
    """
    file = find_manifest(path)
    return _read(file, lambda: read_source_text(file, _display_path(file)), environment, environ)


def read_manifest_text(
    text: str, folder: Path, *, environment: str | None = None, environ: Mapping[str, str] = os.environ
) -> Manifest:
    """As `read_manifest`, from `text` as it would stand in `folder`'s mosaic.yaml, which needn't be there."""
    manifest, refused = try_read_manifest_text(text, folder, environment=environment, environ=environ)
    if refused:
        raise refused
    return manifest


def try_read_manifest_text(
    text: str, folder: Path, *, environment: str | None = None, environ: Mapping[str, str] = os.environ
) -> ReadResult:
    """As `try_read_manifest`, from `text` as it would stand in `folder`'s mosaic.yaml."""
    file = folder / MANIFEST_NAMES[0]
    return _read(file, lambda: source_text(text.encode(), MANIFEST_NAMES[0]), environment, environ)


def _read(
    file: Path, read: Callable[[], SourceText], environment: str | None, environ: Mapping[str, str]
) -> ReadResult:
    shown_as = _display_path(file)
    values, problems = parse_dotenv(file.parent, _display_path(file.parent / ".env"))
    reading = _ManifestReader(file, environment, {**values, **environ}, problems)
    try:
        manifest = reading.manifest(read())
    except SourceTextError as refused:
        manifest = None
        problems.append(refused.problem)
    except OSError as error:
        raise SourceUnreadable(f"{shown_as} can't be read: {error.strerror}") from None
    if manifest is not None and not problems:
        return manifest, None
    invalid = _invalid_error(shown_as, problems)
    rest = reading.valid_part(invalid.problems)
    if rest is None:
        raise invalid
    return rest, invalid


class _ManifestReader:
    """One reading of one manifest. Its mistakes are added to `problems`."""

    def __init__(
        self, file: Path, environment: str | None, variables: Mapping[str, str], problems: list[Problem]
    ) -> None:
        self.file = file
        self.environment = environment
        self.variables = variables
        self.problems = problems
        self.schema = read_schema(SCHEMA)
        self._read: tuple[Node, SourceText] | None = None

    def manifest(self, source: SourceText) -> Manifest | None:
        """The manifest, None or anything where there are problems. Refused where reading can't go on."""
        tree = compose(source, self.problems)
        if tree is None or tree.value is None:
            raise SourceTextError(
                Problem("the manifest is empty", Location(source.file), hint='begin with "version: 1"')
            )
        if not isinstance(tree.value, dict):
            where = source.location(tree.line, tree.column)
            message = f"a manifest is a map of fields, and this is {describe_value(tree.value)}"
            raise SourceTextError(Problem(message, where, hint='begin with "version: 1"'))
        if "mosaic_deploy" in tree.value:
            hint = "apply it: mosaic-deploy apply; or name the manifest"
            raise SourceTextError(
                Problem("this is a plan, and no manifest", Location(source.file), hint=hint)
            )
        placement = Interpolator(source, self.schema, self.variables, self.environment)
        whole = placement.interpolate(tree)
        self.problems += placement.problems
        chosen = self.chosen_environment(whole, source)
        self.check_schema(whole, chosen, source)
        wrong = {problem.field for problem in self.problems}
        further = (*folder_problems(self.file.parent, chosen, source), *duration_problems(chosen, source))
        self.problems += [problem for problem in further if problem.field not in wrong]
        if self.problems:
            self._read = chosen, source
            return None
        manifest = build_manifest(plain_value(chosen), self.file, self.environment)
        return replace(manifest, locations=dict(_locations(chosen, source)))

    def valid_part(self, problems: Sequence[Problem]) -> Manifest | None:
        """What the manifest says of files, without what is wrong in it; None where one can't tell the two apart."""
        if self._read is None:
            return None
        chosen, source = self._read
        good = valid_sections(plain_value(chosen), problems, self.environment)
        if good is None:
            return None
        manifest = build_manifest(good, self.file, self.environment)
        return replace(manifest, locations=dict(_locations(chosen, source)))

    def chosen_environment(self, whole: Node, source: SourceText) -> Node:
        """The manifest without `environments`, and with the chosen one's overrides."""
        assert isinstance(whole.value, dict)
        fields = dict(whole.value)
        environments = fields.pop("environments", None)
        base = Node(fields, whole.line, whole.column, whole.span)
        if self.environment is None:
            return base
        named = environments.value if environments and isinstance(environments.value, dict) else {}
        if self.environment not in named:
            self.problems.append(
                _unknown_environment(
                    self.environment, [each for each in named if each.isprintable()], environments, source
                )
            )
            return base
        override = named[self.environment]
        return (
            merge_overrides(_without_pinned_id(base, override), override)
            if isinstance(override.value, dict)
            else base
        )

    def check_schema(self, whole: Node, chosen: Node, source: SourceText) -> None:
        """Adds what is wrong by the schema, in the whole file and in what was chosen from it."""
        file_value, chosen_value = plain_value(whole), plain_value(chosen)
        if conforms(self.schema, file_value) and (
            self.environment is None or conforms(self.schema, chosen_value)
        ):
            return
        from mosaic_deploy.source.manifest.schema_messages import SchemaChecker, is_required

        verdict = SchemaChecker(self.schema, source)
        for problem in verdict.problems(whole, file_value):
            # What an override adds isn't missing; the chosen manifest is asked for it below.
            if self.environment is None or not is_required(problem):
                self.problems.append(problem)
        if self.environment is not None:
            self.problems += verdict.problems(chosen, chosen_value)


def _without_pinned_id(base: Node, override: Node) -> Node:
    """`base` without its project's id where the override names another project: the name would be ignored."""
    assert isinstance(override.value, dict)
    assert isinstance(base.value, dict)
    meant, pinned = override.value.get("project"), base.value.get("project")
    if (
        meant is None
        or pinned is None
        or not isinstance(meant.value, dict)
        or not isinstance(pinned.value, dict)
    ):
        return base
    if "name" not in meant.value or "id" in meant.value:
        return base
    kept = {key: node for key, node in pinned.value.items() if key != "id"}
    project = replace(pinned, value=kept)
    return replace(base, value={**base.value, "project": project})


def plain_value(node: Node) -> Any:
    """A tree as lists, dicts and scalars."""
    if isinstance(node.value, dict):
        return {key: plain_value(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain_value(child) for child in node.value]
    return node.value


def _locations(node: Node, source: SourceText, path: str = "") -> Iterator[tuple[str, Location]]:
    """Where each field's value is, by dotted path; list members as `name[0]`."""
    yield path, source.location(node.line, node.column)
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from _locations(child, source, f"{path}.{key}" if path else key)
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from _locations(child, source, f"{path}[{index}]")


def _unknown_environment(
    name: str, known: list[str], environments: Node | None, source: SourceText
) -> Problem:
    from difflib import get_close_matches

    close = get_close_matches(name, known, 1)
    meant = f'did you mean "{close[0]}"? ' if close else ""
    known_ones = f"known: {', '.join(known)}" if known else "the manifest has no environments"
    where = Location(source.file)
    if environments is not None and environments.key_at:
        where = source.location(*environments.key_at)
    return Problem(f"no environment {quoted(name)}", where, field="environments", hint=meant + known_ones)


def _invalid_error(shown_as: str, problems: Iterable[Problem]) -> ManifestInvalid:
    """The error for these problems: each once, in the order of their places, `.env` last."""
    once = {(p.location.file, p.location.line, p.location.column, p.field, p.message): p for p in problems}
    ordered = sorted(
        once.values(),
        key=lambda p: (p.location.file != shown_as, p.location.line or 0, p.location.column or 0, p.field),
    )
    count = "1 mistake" if len(ordered) == 1 else f"{len(ordered)} mistakes"
    return ManifestInvalid(f"{count} in {shown_as}", problems=ordered)


def _display_path(file: Path) -> str:
    """A path as users see it: from the current folder where it is below that, else as it was given."""
    try:
        return str(file.absolute().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(file)

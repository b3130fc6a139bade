"""Builds of a watch: before each deploy, if an edit changed what a build reads. The site stays as it is if one fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mosaic_deploy.cli.builds.step import When, ensure_built
from mosaic_deploy.cli.render.build_report import BuildLine
from mosaic_deploy.errors import BuildFailed

if TYPE_CHECKING:
    from mosaic_deploy.cli.render.screen import Screen
    from mosaic_deploy.model.manifest import Manifest


class EditBuilder:
    """Builds after edits. With `--no-build` it only checks that there is an output."""

    def __init__(self, screen: Screen, when: When) -> None:
        self._report = BuildLine(screen)
        # `--build` is for the first deploy, which doesn't follow an edit.
        self._when = When.NEVER if when is When.NEVER else When.NEEDED
        self._error: BuildFailed | None = None
        self._inputs: object = None

    def build(self, manifest: Manifest) -> bool:
        """Whether it has built. Raises as `ensure_built`; a build that failed isn't repeated until what it reads changes."""
        if self._error is not None and self._read_inputs(manifest) == self._inputs:
            raise self._error
        self._error = None
        before = self._read_inputs(manifest)
        try:
            return ensure_built(manifest, self._when, self._report)
        except BuildFailed as error:
            self._error, self._inputs = error, before
            raise

    def _read_inputs(self, manifest: Manifest) -> object:
        """What the build depends on."""
        if manifest.build is None or self._when is When.NEVER:
            return None
        from mosaic_deploy.source.builds.state import read_state

        state = read_state(manifest, manifest.build)
        return state.settings, state.inputs

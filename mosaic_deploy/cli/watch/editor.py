"""Links that open a file at its line in the user's editor, as Vite's overlay does; here by the editor's own URL scheme."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path, PurePath
from urllib.parse import quote

_LIKE_VSCODE = "{scheme}://file{path}:{line}:{column}"
_TEMPLATES = {
    "code": _LIKE_VSCODE.replace("{scheme}", "vscode"),
    "code-insiders": _LIKE_VSCODE.replace("{scheme}", "vscode-insiders"),
    "codium": _LIKE_VSCODE.replace("{scheme}", "vscodium"),
    "vscodium": _LIKE_VSCODE.replace("{scheme}", "vscodium"),
    "cursor": _LIKE_VSCODE.replace("{scheme}", "cursor"),
    "windsurf": _LIKE_VSCODE.replace("{scheme}", "windsurf"),
    "zed": _LIKE_VSCODE.replace("{scheme}", "zed"),
    "subl": "subl://open?url=file://{path}&line={line}&column={column}",
    "mate": "txmt://open?url=file://{path}&line={line}&column={column}",
    **dict.fromkeys(("idea", "webstorm", "pycharm", "phpstorm"), "{name}://open?file={path}&line={line}"),
}
"""The name of an editor's program → its URLs. Editors that run in a terminal have none."""
_VARIABLES = ("MOSAIC_EDITOR", "VISUAL", "EDITOR")
_REFUSED_SCHEMES = frozenset({"javascript", "data", "vbscript", "blob"})


def editor_link(
    file: Path, line: int | None, column: int | None, environment: Mapping[str, str] = os.environ
) -> str | None:
    """The URL that opens `file`, None if the editor isn't known or has no URLs.

    The editor is the first that is known of MOSAIC_EDITOR (a name, a URL with `{path}`, or `none`), the editor whose
    terminal this is, VISUAL and EDITOR.
    """
    template = _template(environment)
    if template is None:
        return None
    path = quote(file.absolute().as_posix())
    path = path if path.startswith("/") else f"/{path}"
    if template.startswith("vscode://file") and (distribution := environment.get("WSL_DISTRO_NAME")):
        # Windows opens the link; it knows the file by its distribution.
        template = template.replace("vscode://file", f"vscode://vscode-remote/wsl+{quote(distribution)}")
    return (
        template.replace("{path}", path)
        .replace("{line}", str(line or 1))
        .replace("{column}", str(column or 1))
    )


def _template(environment: Mapping[str, str]) -> str | None:
    chosen = environment.get("MOSAIC_EDITOR", "").strip()
    if chosen == "none":
        return None
    if "://" in chosen and "{path}" in chosen:
        scheme = chosen.partition("://")[0].lower()
        return None if scheme in _REFUSED_SCHEMES else chosen
    names = [_program(chosen), _terminal_editor(environment)]
    names += [_program(environment.get(name, "")) for name in _VARIABLES[1:]]
    known = next((name for name in names if name in _TEMPLATES), None)
    return _TEMPLATES[known].replace("{name}", known) if known else None


def _program(command: str) -> str:
    """`code` of `/usr/bin/code --wait`."""
    try:
        words = shlex.split(command)
    except ValueError:
        return ""
    return PurePath(words[0]).name.removesuffix(".exe").lower() if words else ""


def _terminal_editor(environment: Mapping[str, str]) -> str:
    """The editor in whose terminal this runs."""
    if "CURSOR_TRACE_ID" in environment:
        return "cursor"
    if "ZED_TERM" in environment:
        return "zed"
    return "code" if environment.get("TERM_PROGRAM") == "vscode" else ""

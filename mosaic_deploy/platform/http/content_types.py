"""Content types by file suffix.

Python's `mimetypes` varies by version and by machine, so this is a fixed table. Browsers reject modules, WebAssembly,
manifests and fonts of other types than these.
"""

from __future__ import annotations

UNKNOWN = "application/octet-stream"

_TEXT = {
    "atom": "application/atom+xml",
    "cjs": "text/javascript",
    "csv": "text/csv",
    "geojson": "application/geo+json",
    "htm": "text/html",
    "ics": "text/calendar",
    "jsonld": "application/ld+json",
    "map": "application/json",
    "markdown": "text/markdown",
    "md": "text/markdown",
    "mjs": "text/javascript",
    "vtt": "text/vtt",
    "webmanifest": "application/manifest+json",
    "xhtml": "application/xhtml+xml",
    "xml": "application/xml",
    "rss": "application/rss+xml",
    "yaml": "application/yaml",
    "yml": "application/yaml",
}
_BINARY = {
    "7z": "application/x-7z-compressed",
    "aac": "audio/aac",
    "apng": "image/apng",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "bz2": "application/x-bzip2",
    "cur": "image/x-icon",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "eot": "application/vnd.ms-fontobject",
    "epub": "application/epub+zip",
    "flac": "audio/flac",
    "glb": "model/gltf-binary",
    "gltf": "model/gltf+json",
    "gz": "application/gzip",
    "heic": "image/heic",
    "jfif": "image/jpeg",
    "jxl": "image/jxl",
    "m4a": "audio/mp4",
    "m4v": "video/mp4",
    "mid": "audio/midi",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mpeg": "video/mpeg",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "ogv": "video/ogg",
    "opus": "audio/ogg",
    "otf": "font/otf",
    "pdf": "application/pdf",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "rtf": "application/rtf",
    "tar": "application/x-tar",
    "tgz": "application/gzip",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "ttc": "font/collection",
    "ttf": "font/ttf",
    "wasm": "application/wasm",
    "wav": "audio/wav",
    "weba": "audio/webm",
    "webm": "video/webm",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "zip": "application/zip",
    "zst": "application/zstd",
}
_TYPES = {name: f"{kind}; charset=utf-8" for name, kind in _TEXT.items()} | _BINARY


def content_type(suffix: str) -> str:
    """The content type for a suffix such as `.woff2`, in any case; `application/octet-stream` if unknown."""
    return _TYPES.get(suffix.lower().removeprefix("."), UNKNOWN)


# Types that a browser shows, plays or loads without ever running them as a document. A script is among them because a
# browser that opens one shows its text; it runs only in a page that refers to it.
_INERT_FAMILIES = ("audio/", "font/", "image/", "video/")
_INERT = frozenset(
    {
        # A browser's PDF viewer has an origin of its own, and Chrome's refuses to start in a sandbox.
        "application/pdf",
        "application/json",
        "application/manifest+json",
        "application/wasm",
        "text/css",
        "text/javascript",
        "text/plain",
        "text/vtt",
    }
)
_SVG = "image/svg+xml"
# As raw.githubusercontent.com has it: no scripts, no forms, no requests, and an origin that nothing else has.
_SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


def sandbox_headers(content_type: str) -> dict[str, str]:
    """The headers with which a file that anybody may have uploaded can't act as a page of the site.

    HTML and XML are downloaded. SVG is shown, as an image and on its own, but without its scripts. Unknown types get
    the sandbox too.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind in _INERT or (kind.startswith(_INERT_FAMILIES) and kind != _SVG):
        return {}
    headers = {"Content-Security-Policy": _SANDBOX}
    if kind == "text/html" or (kind.endswith(("/xml", "+xml")) and kind != _SVG):
        headers["Content-Disposition"] = "attachment"
    return headers

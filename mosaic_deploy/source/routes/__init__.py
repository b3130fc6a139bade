"""How the site answers paths that are no files: redirects, the page for unknown paths, and headers.

May import `site`, `files`, `manifest` and `problems`. Begin with `site_routes`: hosting answers files only, so everything here
becomes files, or is reported with its place.
"""

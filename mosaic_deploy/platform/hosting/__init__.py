"""Static hosting: uploading, serving and live-reloading a project's files.

May import `http`, `postgres`, `projects` and `storage`. Begin with `sites`, which answers browsers, and `static`, which
answers the API.
"""

"""What a folder contains that could be deployed: its sites and how they are built, its migrations and its storage files.

Names are read from one bounded walk, and of files only settings. May import `mosaic_deploy.errors`, and `files`, `migrations` and
`manifest` of `source`. Begin with `project.py`; a framework is a row or a function in `script_frameworks.py` or `generators.py`.
"""

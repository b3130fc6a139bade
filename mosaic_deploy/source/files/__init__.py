"""Selects, reads and hashes the files to deploy.

Start with `folder.read_files`: `walk` lists the files, `gitignore` and `ignored` filter them, `digests` and `stat_cache`
hash them, `secrets` checks them. `local_file` reads a file again for upload. May import `mosaic_deploy.errors`, `model`
and `source.manifest`.
"""

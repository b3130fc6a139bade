"""What the files of a site refer to: finding references by parsing, checking them, and rewriting them while deploying.

Pure functions over texts and names, except for `analysis_cache`. Begin with `site_files`; `published` makes the files as they are deployed, `html`, `css` and `script` find references, `resolve` says which file one means. May import `mosaic_deploy.errors`,
`model` and `source.files`.
"""

"""The commands, one file each, in a folder per group of `--help`.

They parse options, call `deploy`, `live` or the shared modules of `cli`, and hand the result to `render`. Begin with
`deploy/apply.py`.
"""

"""The embedded platform as a background process: start, stop, status, backup and restore.

`client` and `control` run in the calling process and import only the standard library, `machine` and `faults`. `main`
is the process itself and may import every other room. Begin with `control.start`, then `main.serve`.
"""

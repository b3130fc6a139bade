"""One module per command, in one folder per section of `--help`.

A command imports the shared parts of `cli` (options, target, terminal, render), and heavy rooms only when it runs.
Begin with `deploy/plan.py`.
"""

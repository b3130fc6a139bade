"""Runs `build.command` before a plan is made. Begin reading in `step`, which decides; `process` runs the command.

The only place that starts a program which a manifest names. May import `cli.render`, `cli.terminal`, `source` and below.
"""

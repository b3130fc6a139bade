"""The command line. Commands are thin: they read options and call the rooms below; only `render` prints.

`program` has the table of commands, `main` runs one and turns errors into exit codes. `cli` may import every other
room except `platform`, which it only starts as a process. Begin with `program`, then a command in `commands`.
"""

"""What a command works on: the manifest, the API with its key, and the project.

May import the rooms below `cli` and `cli.next_commands`; starts the embedded platform but doesn't import it.
Begin with `target`, then `session`.
"""

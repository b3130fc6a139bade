"""The command line: thin commands; only `cli/render` prints."""

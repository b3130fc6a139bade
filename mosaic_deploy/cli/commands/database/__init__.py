"""The commands about the database: `sql`, `credentials`, and `migrate` with its subcommands."""

"""The commands for getting started: `init`, `login`, `projects`, `doctor`, `completion`, `help` and `version`."""

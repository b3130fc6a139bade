"""Everything the program prints: the payload on stdout; progress, questions and errors on stderr.

Commands talk to `screen.Screen` (begin reading there), which passes model values to one view per `--output` format:
`text.view`, or those in `json_views`, whose documents `documents` builds. May import `model`, `errors` and types.
"""

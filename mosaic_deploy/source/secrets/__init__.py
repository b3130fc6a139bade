"""What a secret looks like: the rules, the keys of known makers as data, and the names of variables that hold credentials.

It imports only errors. Start with `rules`; `kinds` has what other rooms need without the rules, which are slow to import.
"""

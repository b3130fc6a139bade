"""Nouns only: frozen values that are desired, live, compared, planned and reported. No I/O."""

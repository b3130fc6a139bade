"""Laws are checked with few enough examples to stay quick, and as much time as a busy machine needs."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None, max_examples=60)
settings.load_profile("unhurried")

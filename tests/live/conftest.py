"""Hypothesis with few examples, and without deadlines for busy machines."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None, max_examples=60)
settings.load_profile("unhurried")

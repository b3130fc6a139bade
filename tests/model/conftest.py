"""Hypothesis settings: few examples to stay fast, and no deadline for busy machines."""

from hypothesis import settings

settings.register_profile("model", deadline=None, max_examples=60)
settings.load_profile("model")

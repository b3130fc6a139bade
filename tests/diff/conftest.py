"""A hypothesis profile with few examples and no deadline, for busy machines."""

from hypothesis import settings

settings.register_profile("no_deadline", deadline=None, max_examples=60)
settings.load_profile("no_deadline")

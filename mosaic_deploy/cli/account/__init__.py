"""Everyday commands: what an account and its projects have, without a plan."""

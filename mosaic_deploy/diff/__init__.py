"""The desired and the live snapshot compared: the plan, the state of each migration, and what the policy denies.

Pure functions; may import model and errors. Begin with `plan.py`.
"""

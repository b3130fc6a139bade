"""The lint rules: one function per rule, from an effect and the scope to findings.

Begin with `registry.py`, the table of all rules. May import `effects` and `syntax`.
"""

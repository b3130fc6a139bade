"""What statements do, and to which objects, as the rules see it.

Begin with `statement_effects.py` and `scope.py`. May import `syntax` and `facts`, never the rules.
"""

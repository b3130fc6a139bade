"""Makes a plan from the project folder and the live project. Reads only.

May import `source`, `diff` and `live`, but neither `applying` nor `history`. Begin with `plan.py`.
"""

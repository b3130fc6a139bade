"""Talks to the Mosaic API and turns what it returns into values of `model`.

May import `sql`, `model` and `errors`; the only room that knows HTTP. Begin with `snapshot.py`.
"""

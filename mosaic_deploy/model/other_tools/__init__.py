"""Other migration tools: their history tables, how a row names its file, and the checksums that they compute. No I/O.

Begin with `tools.py`. May import only `mosaic_deploy.errors` and the rest of `model`.
"""

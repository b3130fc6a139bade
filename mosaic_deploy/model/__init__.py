"""Frozen dataclasses that describe manifests, snapshots, changes, plans and events. No I/O.

Start with `manifest` and `snapshot`, then `change` and `plan`. May import only `mosaic_deploy.errors`.
"""

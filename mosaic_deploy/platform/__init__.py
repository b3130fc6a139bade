"""The embedded platform: Mosaic's API on this machine, with a real PostgreSQL and real file storage.

It shares only the wire contract with the deployer and imports nothing of it (only `installed` and `version`).
Start it with `python -m mosaic_deploy.platform start`; begin reading in `app/routes.py`, which lists every endpoint.
"""

"""The embedded platform: Mosaic's API with real parts on this machine.

A stranger to the rest of the package: it shares only the wire contract. Start it as a process,
`python -m mosaic_deploy.platform start|stop|status|reset|serve`.
"""

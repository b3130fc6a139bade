"""Declarative deployer for Mosaic: plan, apply, and the whole platform on one machine."""

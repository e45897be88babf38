"""Measurements against other pools: each in a fresh interpreter, contenders in turn."""

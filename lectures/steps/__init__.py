"""Walks through the algorithms of the lectures, one file each: `python -m lectures NAME --step`; see lectures/stepping.py."""

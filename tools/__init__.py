"""Command line tools: `python -m tools.NAME`, run in the repository."""

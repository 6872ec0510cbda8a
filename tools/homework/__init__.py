"""Homework from the reference: `python -m tools.homework {list,make,grade}`; what the assignments are stands in homework/."""

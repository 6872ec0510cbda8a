"""Five assignments along the lecture: what they ask for, and how an answer is compared. `python -m tools.homework` makes them."""

"""Numbered demo scripts; `python -m lectures` runs them in the order of the deck (contents.py) and leaves a book.

A lecture is a module NN_name.py with TITLE (the slide's), FORMULA (formula.py says how it is written), LOOK_FOR, CODE (source
file -> the definitions it teaches), TRY (questions, parted by empty lines), and three functions:
`compute(full)` returns a dict of results, `draw(result)` returns {file name: matplotlib Figure}, and `check(result)`
returns a list of Checks, the figures that prove that the pictures show what they claim.
Its walk, `steps(rng)` in steps/name.py, goes through the algorithm on a tiny input: `python -m lectures name --step`; see
stepping.py.
"""

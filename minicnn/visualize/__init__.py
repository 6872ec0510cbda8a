"""Ways of seeing what a network does, one file each.

Wrong arguments raise ShapeError (arrays that do not fit), SettingError (numbers that make no sense) or UnknownNameError (a layer
that the network has not); checks.py has what they share.
"""

"""Ways of seeing what a network does, one file each."""

"""Networks that paint, one file each."""

"""Foreign weight formats, a file each: a reader that turns untrusted bytes into arrays with names, no more."""

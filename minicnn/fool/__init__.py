"""Fooling networks. Slides "Can we use this to fool ConvNets?" to "Conclusions": each technique is one file."""

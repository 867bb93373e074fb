"""Methods made for a spectrum, on the digits GANs: predicted, then measured."""

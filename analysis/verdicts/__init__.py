"""Verdicts on points whose class is known, and on trained GANs."""

"""What several studies share: the engine, pages, the digits GANs."""

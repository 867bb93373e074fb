"""Discovery, argument checks and errors: no mathematics, no PyTorch."""

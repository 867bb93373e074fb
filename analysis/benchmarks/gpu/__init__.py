"""Everything that takes a GPU to prove, in one command: `python -m analysis.benchmarks.gpu`."""

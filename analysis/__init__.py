"""Studies and benchmarks on top of gamedyn: `python -m analysis list | run NAME`."""

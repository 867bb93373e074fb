"""One stepper per family of methods: its data and a field in, a step out."""

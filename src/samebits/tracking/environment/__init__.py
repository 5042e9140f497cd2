"""Facts of the machine, its libraries and its GPUs."""

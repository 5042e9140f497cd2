"""The machine: devices, determinism, several processes."""

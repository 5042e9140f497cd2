"""What goes into a model and what comes out of it; written into every file that holds one."""

"""What every part uses and what knows nothing of machine learning: errors, files, git, paths, signals."""

"""DVC's remotes, with every object checked."""

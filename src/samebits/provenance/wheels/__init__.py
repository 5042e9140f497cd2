"""The files that an environment is installed from: kept beside data and models, and installed again years later."""

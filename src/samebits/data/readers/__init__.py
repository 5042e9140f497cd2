"""From files to samples: one module for each format, in a folder for each kind of data."""

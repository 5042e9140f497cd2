"""Projects that use the installed package: made from a template, and brought to another release."""

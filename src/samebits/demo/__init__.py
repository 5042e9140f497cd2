"""The page of `samebits demo` and of `samebits serve`: a person tries an exported model, and sees what it goes by."""

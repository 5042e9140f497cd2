"""Same bits, checked: the pipeline run again in a clean copy, golden traces, runs and model files traced back."""

"""The process that delivers the journal to MLflow."""

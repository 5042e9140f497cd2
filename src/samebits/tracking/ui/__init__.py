"""The MLflow UI on this project, and the upkeep of its store."""

"""What DVC's files say of the stages: dvc.yaml, dvc.lock, hashes, recipes."""

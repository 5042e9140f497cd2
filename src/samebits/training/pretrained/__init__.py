"""Pretrained weights: found, checked, loaded."""

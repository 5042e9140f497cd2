"""Readers of images, and how a file becomes pixels."""

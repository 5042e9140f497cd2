"""Stretches of a training computed again from states that it kept and committed to."""

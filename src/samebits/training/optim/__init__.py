"""Optimizers, schedules, the moving average, gradients."""

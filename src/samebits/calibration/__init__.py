"""Calibration: the stage between training and what judges or exports the model, on the validation split."""

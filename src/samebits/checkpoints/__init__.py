"""The saved model: weights, configuration, and the module that serves it with its preprocessing."""

"""What is done with an exported model: predictions and text, without torch."""

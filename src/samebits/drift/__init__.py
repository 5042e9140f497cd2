"""What inputs and answers are like, in numbers: statistics of samples, and those of the training data.

`evaluate` writes them as `models/reference.json`, `export` puts them beside the model, `samebits monitor` compares.
One file for each kind of inputs, which has its name, with a class `Kind`.
"""

"""`samebits register`: the exported model into MLflow's registry, as champion only if it is better than the champion.

    candidate.py ── what is to be registered: the ONNX file, its numbers, its data; all of it as dvc.lock has it
    gate.py      ── the comparison with the champion, a pure function
    register.py  ── versions and aliases in MLflow: `candidate`, `champion`; back in one command

An explicit act of a person. No stage and no sweep calls it.
"""

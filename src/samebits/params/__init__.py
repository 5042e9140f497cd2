"""Parameters: `params.yaml` read as YAML 1.2 into typed, frozen models.

One module a section, so that a stage depends on the sections it reads and on no other. A default stands
in its section's class and nowhere else.
"""

"""How often `Diagnosis` is right, measured on many short trainings: `python -m benchmarks.diagnosis`."""

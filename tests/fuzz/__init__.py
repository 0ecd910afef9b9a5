"""Coverage-guided fuzzing of the decoder: what must hold (targets.py), where to begin (corpus/), how to run it."""

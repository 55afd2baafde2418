"""A model of training on many GPUs: what benchmarks/scale.py prints."""

"""Pairs on their way to the device: decoded, ordered, augmented, batched."""

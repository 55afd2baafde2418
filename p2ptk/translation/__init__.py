"""Pictures of any size through a generator: read, padded, tiled, written."""

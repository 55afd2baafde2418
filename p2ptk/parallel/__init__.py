"""One run trained by several processes, each with a share of every batch.

ranks: who they are and what they agree on. gradients: averaged within the backward pass. norms:
batch statistics over the whole batch. share: what ties a run's networks together. launch: starts
them.
"""

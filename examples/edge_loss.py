"""A loss of one's own in a local file: L1 between image gradients.

p2ptk run -d pairs/ --plugin examples/edge_loss.py -L gan -L l1:weight=100 -L edges:weight=10
"""

from p2ptk import Component, hookimpl


class EdgeLoss:
    """L1 between the gradients of output and target: of their difference, since both are linear."""

    def generator(self, t):
        error = t.fake - t.target
        return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()


@hookimpl
def p2ptk_losses():
    yield Component("edges", EdgeLoss, summary="L1 between image gradients")

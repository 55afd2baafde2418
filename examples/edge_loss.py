"""A loss of one's own in a local file: L1 between image gradients.

p2ptk run -d pairs/ --plugin examples/edge_loss.py -L gan -L l1:weight=100 -L edges:weight=10
"""

from p2ptk import Component, Translation, hookimpl


class EdgeLoss:
    """Mean absolute difference between the gradients of output and target."""

    def generator(self, t: Translation):
        def slopes(x):
            return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]

        return sum(
            (a - b).abs().mean() for a, b in zip(slopes(t.fake), slopes(t.target), strict=True)
        )


@hookimpl
def p2ptk_losses():
    yield Component("edges", EdgeLoss, summary="L1 between image gradients")

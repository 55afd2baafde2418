"""FID, KID, precision and recall on Inception-v3, by torch-fidelity's network."""

from __future__ import annotations

import io
from collections import deque
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from p2ptk.errors import UserError
from p2ptk.metrics.colours import eight_bits, three_channels
from p2ptk.metrics.feature_distance import FeatureDistance, Measure
from p2ptk.metrics.pretrained import missing_extra, read_weights, weights_file

WORDS = ("fid", "kid")
PROTOCOL = "TensorFlow's Inception-v3 (2015-12-05), pool3, on 8-bit images"


def fid(*, weights: Path | None = None) -> FeatureDistance:
    """`fid-inception-256-n106`: Frechet inception distance (Heusel et al. 2017).

    Under 2,000 images it is biased, and KID comes with it.

    weights: torch-fidelity's Inception, .pth; without it it is fetched into torch hub's folder.
    """
    return _on_inception("fid", ("frechet",), weights)


def kid(*, weights: Path | None = None) -> FeatureDistance:
    """`kid-inception-256-n106`: kernel inception distance (Binkowski et al. 2018), unbiased.

    weights: torch-fidelity's Inception, .pth; without it it is fetched into torch hub's folder.
    """
    return _on_inception("kid", ("kernel",), weights)


def precision_recall(*, weights: Path | None = None) -> FeatureDistance:
    """`precision-inception-256-n106` and `recall-...` (Kynkäänniemi et al. 2019), 3 neighbours.

    weights: torch-fidelity's Inception, .pth; without it it is fetched into torch hub's folder.
    """
    return _on_inception("precision-recall", ("precision-recall",), weights)


def _on_inception(
    metric: str, measures: tuple[Measure, ...], weights: Path | None
) -> FeatureDistance:
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
    except ImportError as error:
        raise missing_extra(metric, "torch-fidelity") from error
    features = inception(weights_file(URL_INCEPTION_V3, weights, metric).resolve())
    return FeatureDistance(features, "inception", measures, words=WORDS, protocol=PROTOCOL)


class Features:
    """Inception's 2048 features of images N C H W in [-1, 1], C 1 or 3, resized as it does.

    The last batches are remembered, so that several metrics of one evaluation share the work.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.recent: deque[tuple[Tensor, Tensor]] = deque(maxlen=2)

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Tensor:
        for seen, features in self.recent:
            if seen is image:
                return features
        self.network.to(image.device)
        (features,) = self.network(eight_bits(three_channels(image, "fid")))
        self.recent.append((image, features))
        return features


@lru_cache(maxsize=1)
def inception(path: Path) -> Features:
    """The network with the weights of a file. Raises UserError where they are no Inception's."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # It unpickles its weights itself, with all that a pickle may do: so it is handed, in memory,
    # the tensors alone.
    handed = io.BytesIO()
    torch.save(read_weights(path), handed)
    handed.seek(0)
    try:
        with torch.random.fork_rng(devices=[]):
            network: Any = FeatureExtractorInceptionV3(
                "inception-v3-compat", ["2048"], feature_extractor_weights_path=handed
            )
    except RuntimeError as error:
        line = str(error).strip().splitlines()[-1].strip()
        raise UserError(f"{path} holds other weights than torch-fidelity's: {line}") from None
    return Features(network)

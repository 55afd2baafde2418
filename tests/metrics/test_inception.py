"""FID and its kin on torch-fidelity's Inception, with weights drawn at random."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from p2ptk import create
from p2ptk.errors import Unavailable, UserError

module: Any = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of the right shapes: convolutions at random, statistics left alone."""
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    kind = module.FeatureExtractorInceptionV3

    class Plain(kind):  # type: ignore[misc, valid-type]
        def load_state_dict(self, *_: Any, **__: Any) -> None:
            """Keep the weights that were drawn."""

    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save({}, path)
        network = Plain("x", ["2048"], feature_extractor_weights_path=path)
    torch.save(network.state_dict(), path)
    return path


def images(count: int = 5) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    fake, target = torch.rand(2, count, 3, 16, 16, generator=rng) * 2 - 1
    return fake, target * 0.5


def test_fid_and_kid_are_torch_fidelitys(weights: Path) -> None:
    fid: Any = pytest.importorskip("torch_fidelity.metric_fid")
    kid: Any = pytest.importorskip("torch_fidelity.metric_kid")
    fake, target = images()
    metric = create("metric", f"fid:weights={weights}")
    for part in (slice(0, 2), slice(2, 5)):
        metric.update(fake[part], target[part], target[part])
    found = metric.compute()
    assert list(found) == ["kid-inception-16-n5", "fid-inception-16-n5"]

    network = module.FeatureExtractorInceptionV3(
        "reference", ["2048"], feature_extractor_weights_path=weights
    )
    with torch.no_grad():
        features = [
            network(((x + 1) * 127.5).round().to(torch.uint8))[0].double() for x in (fake, target)
        ]
    statistics = [fid.fid_features_to_statistics(x) for x in features]
    expected = fid.fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]
    assert found["fid-inception-16-n5"] == pytest.approx(expected, rel=1e-3)
    options = {"kid_subsets": 1, "kid_subset_size": 5, "verbose": False}
    expected = kid.kid_features_to_metric(*features, **options)["kernel_inception_distance_mean"]
    assert found["kid-inception-16-n5"] == pytest.approx(expected, rel=1e-4)


def test_metrics_of_one_evaluation_share_the_features(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = [
        create("metric", f"{name}:weights={weights}") for name in ("fid", "kid", "precision-recall")
    ]
    network = metrics[0].features.network
    calls = []
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda x: calls.append(len(x)) or forward(x))
    fake, target = images()
    for metric in metrics:
        metric.update(fake, target, target)
    assert calls == [5, 5]
    assert metrics[0].compute().items() >= metrics[1].compute().items()
    assert set(metrics[2].compute()) == {"precision-inception-16-n5", "recall-inception-16-n5"}


def test_other_weights_and_other_channels_are_refused(weights: Path, tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(3, 3)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="other weights than torch-fidelity's"):
        create("metric", f"kid:weights={tmp_path / 'other.pth'}")
    labels = torch.zeros(1, 12, 16, 16)
    with pytest.raises(UserError, match="these have 12"):
        create("metric", f"kid:weights={weights}").update(labels, labels, labels)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "torch_fidelity.feature_extractor_inceptionv3"
    monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(Unavailable, match=r"kid needs the package torch-fidelity"):
        create("metric", "kid")

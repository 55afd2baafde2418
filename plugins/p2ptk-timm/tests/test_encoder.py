"""What the encoder makes of a picture, of its channels, and of being frozen."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from p2ptk import Unavailable, UserError, create
from p2ptk_timm import facts
from p2ptk_timm.backbone import Backbone
from p2ptk_timm.encoder import TimmEncoder, noise
from p2ptk_timm.frozen import FrozenNorm

IMAGENET = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 1, 3, 1, 1)


def encoder(**params: Any) -> TimmEncoder:
    torch.manual_seed(0)
    made: TimmEncoder = create(
        "encoder", {"name": "timm", "model": "test_resnet", **params}, source_channels=3
    )
    return made


def test_it_is_timms_model_on_normalised_colours(pictures: Tensor) -> None:
    torch.manual_seed(3)
    plain = timm.create_model("efficientnet_lite0", features_only=True).eval()
    ours = Backbone("efficientnet_lite0").eval()
    ours.net.load_state_dict(plain.state_dict())
    mean, std = IMAGENET
    with torch.no_grad():
        wanted = plain(((pictures + 1) / 2 - mean) / std)
        for x, y in zip(ours(pictures), wanted, strict=True):
            torch.testing.assert_close(x, y, rtol=2e-3, atol=1e-4)


def test_features_are_divided_by_a_constant(pictures: Tensor) -> None:
    made = encoder().eval()
    assert made.sizes.shape == (5,)
    with torch.no_grad():
        for x, y, size in zip(made(pictures), made.backbone(pictures), made.sizes, strict=True):
            assert torch.equal(x, y / size)
    typical = encoder().train()(noise((4, 3, 128, 128)))
    assert all(0.5 < x.square().mean().sqrt() < 2 for x in typical)


def test_noise_is_no_louder_than_pictures() -> None:
    torch.manual_seed(0)
    x = noise((4, 3, 64, 96))
    assert x.abs().max() <= 1
    assert 0.4 < x.std() < 0.6
    assert x.diff(dim=-1).std() < 0.8 * x.std()  # neighbours are alike, as in photos


def test_grey_is_as_good_as_three_equal_colours(lite: str, pictures: Tensor) -> None:
    grey = pictures[:, :1]
    features = []
    for channels, source in (
        (3, grey.expand(-1, 3, -1, -1)),
        (1, grey),
        (6, grey.expand(-1, 6, -1, -1)),
    ):
        made = Backbone("tf_efficientnet_lite0", in_chans=channels, weights=lite, freeze=True)
        features.append(made(source))
    for other in features[1:]:
        for x, y in zip(features[0], other, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_any_number_of_source_channels(channels: int) -> None:
    made = create("encoder", "timm:model=test_resnet", source_channels=channels)
    assert len(made(torch.rand(1, channels, 64, 32))) == 5


def test_channels_last_models_come_out_channels_first() -> None:
    plain = timm.create_model(
        "swin_tiny_patch4_window7_224", features_only=True, strict_img_size=False
    ).eval()
    torch.manual_seed(0)
    source = torch.rand(1, 3, 64, 96)
    ours = Backbone("swin_tiny_patch4_window7_224").eval()
    ours.net.load_state_dict(plain.state_dict())
    with torch.no_grad():
        found, wanted = ours(source), plain((source - ours.mean) / ours.std)
    assert [x.shape[1] for x in found] == [96, 192, 384, 768]
    for x, y in zip(found, wanted, strict=True):
        torch.testing.assert_close(x, y.permute(0, 3, 1, 2))


def test_maxvit_gives_the_same_where_its_windows_fit() -> None:
    torch.manual_seed(0)
    plain = timm.create_model("maxvit_rmlp_pico_rw_256", features_only=True).eval()
    ours = Backbone("maxvit_rmlp_pico_rw_256").eval()
    ours.net.load_state_dict(plain.state_dict())
    source = torch.rand(1, 3, 256, 256)
    with torch.no_grad():
        wanted = plain((source - ours.mean) / ours.std)
        for x, y in zip(ours(source), wanted, strict=True):
            torch.testing.assert_close(x, y)
        with pytest.raises(AssertionError, match="must be divisible by window"):
            plain(source[..., :96])


def test_a_frozen_encoder_stands_still(pictures: Tensor) -> None:
    made = encoder(freeze=True)
    assert not any(p.requires_grad for p in made.parameters())
    before = {name: x.clone() for name, x in made.state_dict().items()}
    first = made.train()(pictures)
    assert not made.backbone.training
    second = made.eval()(pictures)
    for x, y in zip(first, second, strict=True):
        assert torch.equal(x, y)
    for name, x in made.state_dict().items():
        assert torch.equal(x, before[name]), name
    # So that test-time rules for batch norm leave it alone.
    assert not any(isinstance(m, nn.BatchNorm2d) for m in made.modules())


def test_freezing_changes_no_output(lite: str, pictures: Tensor) -> None:
    params = {"model": "tf_efficientnet_lite0", "weights": lite}
    free, frozen = encoder(**params).eval(), encoder(**params, freeze=True)
    frozen.sizes.copy_(free.sizes)  # measured in training mode, in which the free one differs
    with torch.no_grad():
        for x, y in zip(free(pictures), frozen(pictures), strict=True):
            torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-4)


def test_the_first_features_alone_can_be_frozen(pictures: Tensor) -> None:
    made = encoder(freeze=2).train()
    features = made(pictures)
    assert [x.requires_grad for x in features] == [False, False, True, True, True]
    names = {n.split(".")[2] for n, p in made.named_parameters() if not p.requires_grad}
    assert names == {"conv1", "layer1"}
    norms = [m for m in made.modules() if isinstance(m, (FrozenNorm, nn.BatchNorm2d))]
    kinds = [isinstance(m, FrozenNorm) for m in norms]
    assert kinds == sorted(kinds, reverse=True)  # frozen ones first, then those that train
    assert 0 < sum(kinds) < len(kinds)


def test_levels(pictures: Tensor) -> None:
    made = encoder(levels=[1, 3])
    assert made.strides == (4, 16)
    assert [x.shape[1] for x in made(pictures)] == list(made.channels)
    unet = create(
        "generator",
        "timm-unet:model=test_resnet,levels=[0,1,2],width=4",
        source_channels=3,
        target_channels=3,
    )
    assert unet.size_multiple == 8


@pytest.mark.parametrize("levels", [[3, 1], [1, 1], [0, 5], []])
def test_levels_that_are_not_there(levels: list[int]) -> None:
    with pytest.raises(UserError, match=r"0 to 4, at strides \[2, 4, 8, 16, 32\]"):
        encoder(levels=levels)


def test_names_that_are_not_there() -> None:
    with pytest.raises(UserError, match="knows no model 'resnet3': did you mean"):
        encoder(model="resnet3")
    with pytest.raises(UserError, match=r"timm has no model 'resnet34\.nobody'"):
        Backbone("resnet34.nobody")


def test_sizes_and_batches_that_do_not_fit() -> None:
    made = encoder()
    with pytest.raises(UserError, match="multiples of 32, and 48x64 is not"):
        made(torch.rand(1, 3, 48, 64))
    with pytest.raises(UserError, match=r"batch of 1 of 32x32 pixels .*larger pictures, or more"):
        made.train()(torch.rand(1, 3, 32, 32))
    made.eval()(torch.rand(1, 3, 32, 32))


def test_without_a_network_one_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = timm.create_model

    def offline(*args: Any, pretrained: bool = False, **more: Any) -> nn.Module:
        if pretrained:
            raise OSError("no route to host")
        return plain(*args, **more)

    monkeypatch.setattr(facts.timm, "create_model", offline)
    with pytest.raises(Unavailable) as error:
        encoder(pretrained=True)
    assert "weights of timm's test_resnet can't be fetched (OSError: no route to host)" in str(
        error.value
    )
    assert "weights=PATH" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_model_without_pretrained_weights() -> None:
    with pytest.raises(UserError, match="timm has no pretrained weights of mobilenetv2_035: "):
        encoder(model="mobilenetv2_035", pretrained=True)


def test_the_short_name_has_the_decoders_parameters() -> None:
    from p2ptk import describe

    def types(kind: str, name: str) -> dict[str, tuple[Any, Any]]:
        found = describe(kind, name)["parameters"]
        return {p["name"]: (p["type"], p.get("default")) for p in found}

    decoder = types("generator", "unet")
    for gone in ("depth", "encoder"):
        decoder.pop(gone)
    assert types("generator", "timm-unet") == {**types("encoder", "timm"), **decoder}


def test_the_short_name_is_the_pair() -> None:
    nets = []
    for spec in (
        "timm-unet:model=test_resnet,width=4,freeze=true",
        "unet:width=4,encoder=timm(model=test_resnet,freeze=true)",
    ):
        torch.manual_seed(0)
        nets.append(create("generator", spec, source_channels=3, target_channels=1))
    first, second = (net.state_dict() for net in nets)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_is_looked_at_where_gradients_are_off(mode: Any) -> None:
    facts.facts_of.cache_clear()
    with mode():
        found = facts.facts_of("test_resnet", 3, None)
    assert found.channels == tuple(encoder(model="test_resnet").channels)
    assert all(found.feeds)

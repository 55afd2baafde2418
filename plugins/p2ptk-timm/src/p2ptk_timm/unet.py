"""The U-Net on a timm encoder, under a short name."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from p2ptk import Spec, create, list_components
from p2ptk_timm.names import Model


def timm_unet(
    *,
    source_channels: int,
    target_channels: int,
    model: Model = "resnet34",
    pretrained: bool = False,
    weights: str | None = None,
    freeze: bool | Annotated[int, Field(gt=0)] = False,
    levels: tuple[Annotated[int, Field(ge=0)], ...] | None = None,
    width: Annotated[int, Field(gt=0)] = 64,
    norm: Literal["batch", "instance", "none"] = "batch",
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
    dropout_at: Literal["port", "paper"] = "port",
    upsample: Literal["transpose", "resize", "subpixel"] = "transpose",
    bias: Literal["port", "no-norm", "all", "none"] = "port",
    output: Literal["tanh", "linear"] = "tanh",
) -> nn.Module:
    """`unet:encoder=timm(...)`: pix2pix's decoder and skips on a timm model.

    N source_channels H W -> N target_channels H W; H and W are multiples of the coarsest stride.

    model, pretrained, weights, freeze, levels: of the encoder; see `p2ptk show encoder timm`.
    width, norm, dropout, dropout_at, upsample, bias, output: of the decoder; see
        `p2ptk show generator unet`.
    """
    encoder = {
        "model": model,
        "pretrained": pretrained,
        "weights": weights,
        "freeze": freeze,
        "levels": None if levels is None else list(levels),
    }
    decoder = {
        "width": width,
        "norm": norm,
        "dropout": dropout,
        "dropout_at": dropout_at,
        "upsample": upsample,
        "bias": bias,
        "output": output,
    }
    spec = Spec("unet", {**decoder, "encoder": Spec(_own_encoder(), encoder)})
    made: nn.Module = create(
        "generator", spec, source_channels=source_channels, target_channels=target_channels
    )
    return made


def _own_encoder() -> str:
    """This plugin's encoder by a name that no other plugin has."""
    same = [p for p in list_components("encoder") if p.component.name == "timm"]
    own = next((p for p in same if p.component.target == "p2ptk_timm.encoder:TimmEncoder"), None)
    return own.qualified if own else "timm"

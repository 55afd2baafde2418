"""Distance of features as a loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from p2ptk import Translation
from p2ptk_timm.looks import Colours, Distance, Levels, Looks, apart
from p2ptk_timm.names import Model


class PerceptualLoss(nn.Module):
    """Distance of fake and target in the features of a frozen timm model (Johnson et al. 2016).

        L = 1/S sum_s  mean over n, places p and channels c of  d(f_s(fake), f_s(target))

    with f_s the model's feature at level s, and d(a, b) = |a - b| or (a - b)^2. With `normalise`
    the channels of each place are first scaled to a mean square of 1, as in LPIPS (Zhang et al.
    2018) but for its linear weights; then (a - b)^2 is 2 - 2 cos of the two, from 0 to 4.

    Fake and target are N C H W in [-1, 1]. Gradients reach the fake alone.

    model: any timm model; `p2ptk show loss 'perceptual:model=vgg*'` lists some. Of vgg16 the levels
        0 to 4 are relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3, and 5 is the last pooling.
    levels: which of its features, by number in rising order; timm's own choice by default.
    pretrained: with the weights that timm's hub has for it; without any, it compares by random
        filters, which are the same in every run.
    weights: those of a file in place of the hub's, .safetensors or .pth, or package:NAME.
    distance: d, l1 or l2.
    normalise: whether places are scaled first. Without it this is the feature loss of the paper.
    colours: of pictures that have neither one nor three channels: which three are red, green and
        blue, or which one is grey.

    Checkpoints hold the model, so that a resumed run needs neither network nor file. Raises
    UserError for a model, weights or levels that are not there.
    """

    def __init__(
        self,
        *,
        model: Model = "vgg16",
        levels: Levels = None,
        pretrained: bool = True,
        weights: str | None = None,
        distance: Distance = "l1",
        normalise: bool = True,
        colours: Colours = None,
    ) -> None:
        super().__init__()
        self.looks = Looks(
            model, levels=levels, pretrained=pretrained, weights=weights, colours=colours
        )
        self.distance: Distance = distance
        self.normalise = normalise

    def generator(self, t: Translation) -> Tensor:
        with torch.no_grad():
            wanted = self.looks(t.target)
        levels = [
            apart(x, y, self.distance, self.normalise).mean()
            for x, y in zip(self.looks(t.fake), wanted, strict=True)
        ]
        return torch.stack(levels).mean()

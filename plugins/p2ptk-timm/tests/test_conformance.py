"""p2ptk's own checks of each component."""

from __future__ import annotations

import pytest

from p2ptk.testing import conformance

TINY = "model=test_resnet,pretrained=false"

CASES = {
    "encoder": ("encoder", "timm:model=test_resnet"),
    "encoder, half frozen": ("encoder", "timm:model=test_convnext,freeze=2"),
    "generator": ("generator", "timm-unet:model=test_resnet,width=4"),
    "generator, frozen": ("generator", "timm-unet:model=test_efficientnet,width=4,freeze=true"),
    "discriminator": ("discriminator", f"projected:{TINY},levels=[0,1],width=4"),
    "discriminator, alone": ("discriminator", f"projected:{TINY},levels=[1],width=4,norm=none"),
    "perceptual": ("loss", f"perceptual:{TINY}"),
    "perceptual, squares": ("loss", f"perceptual:{TINY},distance=l2,normalise=false"),
    "contrast": ("loss", f"contrastive-features:{TINY},patches=16"),
    "contrast, projected": ("loss", f"contrastive-features:{TINY},patches=16,project=8"),
    "paired metric": ("metric", f"feature-distance:{TINY}"),
    "metric of sets": ("metric", f"fd:{TINY}"),
}

# It starts a process for each; test_plugin.py asks the same of all modules in one.
SLOW = "import-touches-nothing"


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=[pytest.mark.slow] * ("," in c)) for c in CASES]
)
def test_conforms(case: str) -> None:
    kind, spec = CASES[case]
    conformance(kind, spec, skip=[SLOW])

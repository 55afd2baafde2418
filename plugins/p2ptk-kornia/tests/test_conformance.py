from __future__ import annotations

from typing import Any

import pytest

from p2ptk import Spec
from p2ptk.testing import conformance
from p2ptk_kornia import color, colorize, degrade, diffaugment, edges, elastic, geometry, inpaint
from p2ptk_kornia.ada import Ada
from p2ptk_kornia.pipeline import Pipeline

TURN = {"name": "RandomRotation", "degrees": 20.0, "p": 0.7}
NOISE = {"name": "RandomGaussianNoise", "std": 0.1, "p": 0.5}

CASES: dict[str, tuple[type, dict[str, Any]]] = {
    "affine": (geometry.Affine, {}),
    "affine-wide": (geometry.Affine, {"degrees": 180.0, "translate": 0.4, "p": 0.5}),
    "perspective": (geometry.Perspective, {}),
    "elastic": (elastic.Elastic, {}),
    "color": (color.Color, {"gamma": 0.3}),
    "color-target": (color.Color, {"side": "target", "p": 0.5}),
    "diffaugment": (diffaugment.DiffAugment, {}),
    "ada": (Ada, {"p": 0.6}),
    "canny": (edges.Canny, {}),
    "sobel": (edges.Sobel, {"lines": "light"}),
    "soft-edges": (edges.SoftEdges, {}),
    "colorize": (colorize.Colorize, {}),
    "colorize-grey": (colorize.Colorize, {"space": "grey"}),
    "inpaint": (inpaint.Inpaint, {}),
    "super-resolution": (degrade.SuperResolution, {}),
    "deblur": (degrade.Deblur, {"sigma": [0.5, 1.5], "length": [3.0, 7.0]}),
    "denoise": (degrade.Denoise, {"kind": "poisson"}),
}


# It starts a process for each class; test_plugin.py asks the same of all modules in one.
SLOW = "import-touches-nothing"


@pytest.mark.parametrize("case", CASES)
def test_conforms(case: str) -> None:
    target, params = CASES[case]
    conformance("augmentation", target, params=params, skip=[SLOW])


@pytest.mark.parametrize("transforms", [[TURN], [TURN, NOISE]])
def test_a_pipeline_conforms(transforms: list[dict[str, Any]]) -> None:
    params = {"transforms": [Spec.of(each) for each in transforms], "side": "source"}
    # Colours need a side, which has no default.
    skip = ["defaults"] if NOISE in transforms else []
    conformance("augmentation", Pipeline, params=params, skip=[SLOW, *skip])

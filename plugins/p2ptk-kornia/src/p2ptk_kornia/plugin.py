"""What the plugin provides: names only; the code loads when a component is used."""

from __future__ import annotations

from collections.abc import Iterable

from p2ptk import Component, hookimpl

P2PTK_API = 1

DIFFAUGMENT = "Zhao et al., NeurIPS 2020, arXiv 2006.10738"
ADA = "Karras et al., NeurIPS 2020, arXiv 2006.06676"
ELASTIC = "Simard et al., ICDAR 2003"
CANNY = "Canny, IEEE TPAMI 1986"
COLORFUL = "Zhang et al., ECCV 2016, arXiv 1603.08511"


def _own(name: str, place: str, summary: str, paper: str = "") -> Component:
    return Component(name, f"p2ptk_kornia.{place}", summary, paper)


@hookimpl
def p2ptk_augmentations() -> Iterable[Component]:
    yield _own("kornia-affine", "geometry:Affine", "rotate, shift, scale and shear both sides")
    yield _own("kornia-perspective", "geometry:Perspective", "move the corners of both sides")
    yield _own("kornia-elastic", "elastic:Elastic", "bend both sides smoothly", ELASTIC)
    yield _own("kornia-color", "color:Color", "brightness, contrast, colours of one side")
    yield _own("kornia-pipeline", "pipeline:Pipeline", "a list of kornia's own transforms")
    yield _own("diffaugment", "diffaugment:DiffAugment", "what D sees, differentiable", DIFFAUGMENT)
    yield _own("ada", "ada:Ada", "what D sees, as strongly as D overfits", ADA)
    yield _own("canny", "edges:Canny", "source: thin edges of a photo", CANNY)
    yield _own("sobel", "edges:Sobel", "source: the gradient of a photo")
    yield _own("soft-edges", "edges:SoftEdges", "source: soft edges of several scales, as HED's")
    yield _own("colorize", "colorize:Colorize", "source: a photo without its colours", COLORFUL)
    yield _own("inpaint", "inpaint:Inpaint", "source: a photo with holes, and where they are")
    yield _own("super-resolution", "degrade:SuperResolution", "source: a photo made coarse")
    yield _own("deblur", "degrade:Deblur", "source: a photo out of focus, or shaken")
    yield _own("denoise", "degrade:Denoise", "source: a noisy photo")

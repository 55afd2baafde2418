"""The one rule of test time: which statistics normalise, and whether dropout stays on.

pix2pix (Isola et al. 2017, section 3.4) runs its generator at test time with dropout on and batch
norm by the statistics of the test batch, of one picture. `norm="image"` is that for any batch: each
picture by its own statistics, so that the result does not depend on its batch-mates.

Every function gives another module that shares the parameters and buffers of the one it was given
and leaves that one as it is. So it can be used between two training steps, and by many threads.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from p2ptk.norms import InstanceNorm

BATCH = (nn.BatchNorm2d, nn.SyncBatchNorm)
DROPOUT = nn.modules.dropout._DropoutNd


def apply_rule(generator: nn.Module, norm: Literal["running", "image"], dropout: bool) -> nn.Module:
    """The generator as it is used at test time, in eval mode whatever mode it is in.

    norm: "running" uses batch norm's running statistics; "image" each picture's own mean and biased
        variance, which is train-mode batch norm at batch 1. A map of one pixel has no variance and
        takes the running statistics. A layer without any always goes by the picture.
    dropout: keep dropout on; it draws from torch's global numbers unless `with_noise` is used.

    Move the generator to its device first: buffers that move later are no longer shared.
    """
    module = _twin(generator).eval()
    for layer in module.modules():
        if isinstance(layer, _Swapped):  # it had been through here before
            layer.__class__ = layer.plain  # type: ignore[assignment]
            layer.__dict__.pop("noise", None)
        if isinstance(layer, BATCH) and (norm == "image" or layer.running_mean is None):
            _become(layer, _PerImage)
        elif isinstance(layer, DROPOUT) and dropout:
            _become(layer, _Active)
    return module


def with_noise(module: nn.Module, seed: int) -> nn.Module:
    """A module whose active dropout is a function of `seed`, of the layer and of the map's size.

    The masks are drawn on the CPU, one for all pictures of a batch: so a picture's translation
    depends neither on the batch nor on the device.
    """
    module = _twin(module)
    for number, layer in enumerate(module.modules()):
        if isinstance(layer, _Active):
            layer.noise = (seed * 1_000_003 + number) % 2**63
    return module


def has_noise(module: nn.Module) -> bool:
    """Whether dropout is active in a module that `apply_rule` made."""
    return any(isinstance(layer, _Active) and layer.p > 0 for layer in module.modules())


def uses_own_statistics(module: nn.Module) -> bool:
    """Whether any layer normalises a picture by its own statistics, which a tile does not have."""
    return any(_goes_by_image(layer) for layer in module.modules())


@contextmanager
def tile_statistics(module: nn.Module, tiles: Tensor) -> Iterator[nn.Module]:
    """Normalise all tiles of a picture alike: by statistics taken once from a sample of its tiles.

    module: made by `apply_rule`. tiles: N C H W, spread evenly over the picture; they run jointly,
    in one pass, in which every layer that goes by the picture's own statistics notes those of the
    whole set and normalises by them. The module given uses them for tiles of that size.
    """
    module = _twin(module)
    layers = [layer for layer in module.modules() if _goes_by_image(layer)]
    for layer in layers:
        _become(layer, _OfSet)
        layer.noted, layer.calls, layer.recording = [], 0, True  # type: ignore[assignment]
    with torch.no_grad():
        module(tiles)
    for layer in layers:
        layer.recording = False  # type: ignore[assignment]
    yield module


def _twin(module: nn.Module) -> nn.Module:
    """A copy of the tree of modules that shares every tensor."""
    shared = {id(t): t for t in (*module.parameters(), *module.buffers())}
    for layer in module.modules():
        shared.update({id(v): v for v in vars(layer).values() if isinstance(v, Tensor)})
    return copy.deepcopy(module, shared)


def _goes_by_image(layer: nn.Module) -> bool:
    if isinstance(layer, nn.InstanceNorm2d):
        return layer.running_mean is None
    plain_group = isinstance(layer, nn.GroupNorm) and type(layer).forward is nn.GroupNorm.forward
    return plain_group or isinstance(layer, InstanceNorm | _PerImage | _OfSet)


class _Swapped(nn.Module):
    """A layer whose class was exchanged; `plain` is the one it was built with.

    The plain class may do more than its name says, as timm's batch norm that holds its activation.
    So its own forward is called, on a shallow copy of the layer that has what should differ.
    """

    plain: type[nn.Module]

    def _plainly(self, x: Tensor, **changed: Any) -> Tensor:
        layer = copy.copy(self)
        layer.__class__ = self.plain  # type: ignore[assignment]
        layer.__dict__.update(changed)
        result: Tensor = layer(x)
        return result

    def _by(self, x: Tensor, mean: Tensor | None, variance: Tensor | None) -> Tensor:
        """The layer with these statistics; without any, by those of x."""
        statistics = {"running_mean": mean, "running_var": variance, "num_batches_tracked": None}
        return self._plainly(x, _buffers=statistics, track_running_stats=mean is not None)

    def _of_one_pixel(self, x: Tensor) -> Tensor:
        if not issubclass(self.plain, BATCH) or self._buffers.get("running_mean") is not None:
            return self._plainly(x)
        zero = x.new_zeros(x.shape[1], dtype=torch.float32)
        return self._by(x - x, zero, zero + 1)


def _become(layer: nn.Module, role: type[_Swapped]) -> None:
    plain = layer.plain if isinstance(layer, _Swapped) else type(layer)
    layer.__class__ = _mixed(role, plain)  # type: ignore[arg-type]


@lru_cache(maxsize=256)
def _mixed(role: type[_Swapped], plain: type[nn.Module]) -> type[Any]:
    return type(f"{role.__name__[1:]}{plain.__name__}", (role, plain), {"plain": plain})


class _PerImage(_Swapped):
    """Batch norm by each picture's own statistics."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2] * x.shape[-1] == 1:
            return self._of_one_pixel(x)
        if self.plain in BATCH:
            layer: Any = self
            x = x.contiguous()  # see `p2ptk.norms.InstanceNorm`
            return F.instance_norm(x, None, None, layer.weight, layer.bias, True, 0.0, layer.eps)
        return torch.cat([self._by(picture[None], None, None) for picture in x])


class _OfSet(_Swapped):
    """A norm by the statistics of the first batch it sees, one pair for each call in a forward."""

    noted: list[tuple[Tensor, Tensor]]
    calls: int
    recording: bool

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2] * x.shape[-1] == 1:
            return self._of_one_pixel(x)
        if self.recording:
            groups = getattr(self, "num_groups", x.shape[1])
            maps = x.detach().float().unflatten(1, (groups, -1))
            variance, mean = torch.var_mean(maps, (0, 2, 3, 4), correction=0)
            each = x.shape[1] // groups
            self.noted.append((mean.repeat_interleave(each), variance.repeat_interleave(each)))
            return self._fixed(x, *self.noted[-1])
        self.calls += 1
        return self._fixed(x, *self.noted[(self.calls - 1) % len(self.noted)])

    def _fixed(self, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        if issubclass(self.plain, (*BATCH, nn.InstanceNorm2d)):
            return self._by(x, mean, variance)
        weight, bias = self._parameters.get("weight"), self._parameters.get("bias")
        eps = getattr(self, "eps", 1e-5)
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)


class _Active(_Swapped):
    """Dropout that stays on in eval mode; with `noise`, a function of that number."""

    p: float
    noise: int | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.noise is None:
            return self._plainly(x, training=True)
        if isinstance(self, nn.Dropout):
            shape = (1, *x.shape[1:])
        elif isinstance(self, nn.Dropout1d | nn.Dropout2d | nn.Dropout3d):
            shape = (1, x.shape[1], *[1] * (x.dim() - 2))
        else:  # alpha dropout, made for dense layers: its draws stay torch's own
            return self._plainly(x, training=True)
        draws = torch.rand(shape, generator=torch.Generator().manual_seed(self.noise))
        kept = (draws >= self.p) / max(1.0 - self.p, 1e-12)
        return x * kept.to(x)

"""Where the weights of the PyTorch port of pix2pix and CycleGAN belong in p2ptk's networks.

Each function maps the name of a module in the port's state dict to the name of ours; `rename`
applies such a map to the tensors. The port holds modules in plain sequences, in which activations,
paddings and norms count too, so a layer's number depends on the network's options.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from p2ptk.errors import UserError


def unet_keys(depth: int) -> dict[str, str]:
    """For `UNet(depth=depth)` on its own encoder.

    The port nests a block in a block: [down, block, up]. What a block holds, in order:
    outermost: conv, block, ReLU, conv, tanh; inner: LeakyReLU, conv, norm, block, ReLU, conv, norm;
    innermost: LeakyReLU, conv, ReLU, conv, norm.
    """
    keys: dict[str, str] = {}
    block = "model.model"
    for level in range(depth):
        down, up = f"encoder.down.{level}", f"up.{depth - 1 - level}"
        if level == 0:
            places = {0: f"{down}.conv", 3: f"{up}.conv"}
        elif level == depth - 1:
            places = {1: f"{down}.conv", 3: f"{up}.conv", 4: f"{up}.norm"}
        else:
            places = {
                1: f"{down}.conv",
                2: f"{down}.norm",
                5: f"{up}.conv",
                6: f"{up}.norm",
            }
        keys |= {f"{block}.{place}": ours for place, ours in places.items()}
        block += ".1.model" if level == 0 else ".3.model"
    return keys


def resnet_keys(
    blocks: int = 9, downsamplings: int = 2, *, dropout: bool = False, zero_padding: bool = False
) -> dict[str, str]:
    """For `ResNet`: pad, conv, norm, ReLU; (conv, norm, ReLU) each way; pad, conv, tanh.

    dropout, zero_padding: whether the port's blocks hold a dropout, and no padding module.
    """
    keys = {"model.1": "first.conv", "model.2": "first.norm"}
    place = 4
    for level in range(downsamplings):
        keys |= {f"model.{place}": f"down.{level}.conv", f"model.{place + 1}": f"down.{level}.norm"}
        place += 3
    pad = 0 if zero_padding else 1
    second = pad + 3 + dropout + pad  # after pad, conv, norm, ReLU, dropout, pad
    for number in range(blocks):
        theirs, ours = f"model.{place}.conv_block", f"blocks.{number}"
        keys |= {
            f"{theirs}.{pad}": f"{ours}.conv1",
            f"{theirs}.{pad + 1}": f"{ours}.norm1",
            f"{theirs}.{second}": f"{ours}.conv2",
            f"{theirs}.{second + 1}": f"{ours}.norm2",
        }
        place += 1
    for level in range(downsamplings):
        keys |= {f"model.{place}": f"up.{level}.conv", f"model.{place + 1}": f"up.{level}.norm"}
        place += 3
    return keys | {f"model.{place + 1}": "last"}


def patchgan_keys(layers: int = 3) -> dict[str, str]:
    """For `PatchGAN(layers=layers)`: conv, LeakyReLU; (conv, norm, LeakyReLU) ...; conv.

    The PixelGAN (layers=0) is held under another name, and has one inner layer too.
    """
    root = "model" if layers else "net"
    inner = layers or 1
    keys = {f"{root}.0": "layers.0.conv"}
    for number in range(1, inner + 1):
        place = 3 * number - 1
        keys |= {
            f"{root}.{place}": f"layers.{number}.conv",
            f"{root}.{place + 1}": f"layers.{number}.norm",
        }
    return keys | {f"{root}.{3 * inner + 2}": "last"}


def rename(state: Mapping[str, Tensor], modules: Mapping[str, str]) -> dict[str, Tensor]:
    """The tensors of a state dict under new module names.

    Raises UserError for a tensor of a module that `modules` does not know.
    """
    renamed = {}
    for key, tensor in state.items():
        module, _, leaf = key.rpartition(".")
        if module not in modules:
            raise UserError(
                f"the weights hold {key!r}, which this network has no place for: they belong to "
                "another architecture or to other options of it."
            )
        renamed[f"{modules[module]}.{leaf}"] = tensor
    return renamed

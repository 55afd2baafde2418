"""The plain loop: pix2pix trained the usual way, for comparison. Nothing else uses it.

A DataLoader whose workers open, resize, crop and mirror pictures with PIL; float32; torch's own
memory format; Adam as it comes; one step after the other, each of whose losses is read at once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import functional as TF


class PILPairs(Dataset[Any]):
    """Side-by-side pictures A | B, enlarged by 286 / 256, cropped to `size` and mirrored."""

    def __init__(self, files: Sequence[Path], size: int) -> None:
        self.files, self.size = files, size
        self.load = round(size * 286 / 256)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        both = Image.open(self.files[index]).convert("RGB")
        half = both.width // 2
        place = [random.randint(0, self.load - self.size) for _ in range(2)]
        mirrored = random.random() < 0.5
        sides = []
        for left in (0, half):
            side = both.crop((left, 0, left + half, both.height))
            side = side.resize((self.load, self.load), Image.Resampling.BICUBIC)
            side = TF.crop(side, *place, self.size, self.size)
            x = TF.to_tensor(TF.hflip(side) if mirrored else side)
            sides.append(TF.normalize(x, [0.5] * 3, [0.5] * 3))
        return sides[0], sides[1]


class PlainLoop:
    """A generator and a discriminator in training.

    files: side-by-side pictures. generator, discriminator: as pix2pix calls them, with weights.
    `waited`: seconds spent waiting for the loader so far.
    """

    def __init__(
        self,
        files: Sequence[Path],
        generator: nn.Module,
        discriminator: nn.Module,
        *,
        size: int,
        batch_size: int,
        device: torch.device,
        workers: int = 4,
    ) -> None:
        self.device = device
        self.generator = generator.to(device).train()
        self.discriminator = discriminator.to(device).train()
        self.adam_g = torch.optim.Adam(self.generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
        self.adam_d = torch.optim.Adam(self.discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
        self.loader = DataLoader(
            PILPairs(files, size),
            batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        self.batches = self._batches()
        self.waited = 0.0

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from self.loader

    def step(self) -> tuple[float, float]:
        """One update of both networks; gives D's and G's loss."""
        began = time.perf_counter()
        source, target = next(self.batches)
        self.waited += time.perf_counter() - began
        return self.update(source.to(self.device), target.to(self.device))

    def update(self, source: Tensor, target: Tensor) -> tuple[float, float]:
        """The update on N 3 H W in [-1, 1] of each side."""
        fake = self.generator(source)

        self.discriminator.requires_grad_(True)
        self.adam_d.zero_grad()
        d_loss = discriminator_loss(self.discriminator, source, target, fake)
        d_loss.backward()
        self.adam_d.step()

        self.discriminator.requires_grad_(False)
        self.adam_g.zero_grad()
        g_loss = generator_loss(self.discriminator, source, target, fake)
        g_loss.backward()
        self.adam_g.step()
        return d_loss.item(), g_loss.item()

    def close(self) -> None:
        """End the loader's workers."""
        self.batches = iter(())
        del self.loader


def discriminator_loss(judge: nn.Module, source: Tensor, target: Tensor, fake: Tensor) -> Tensor:
    """Half the sum of both cross-entropies."""
    fooled = _cross_entropy(judge(source, fake.detach()).logits[0], 0.0)
    return 0.5 * (fooled + _cross_entropy(judge(source, target).logits[0], 1.0))


def generator_loss(judge: nn.Module, source: Tensor, target: Tensor, fake: Tensor) -> Tensor:
    """The cross-entropy of a fake that should seem real, and 100 times the mean difference."""
    seems = _cross_entropy(judge(source, fake).logits[0], 1.0)
    return seems + 100 * nn.functional.l1_loss(fake, target)


def _cross_entropy(logits: Tensor, label: float) -> Tensor:
    labels = torch.full_like(logits, label)
    return nn.functional.binary_cross_entropy_with_logits(logits, labels)

"""Write the golden steps anew: `python tests/golden/make.py`, from the repository root.

Three tiny trainings of three steps by p2ptk's own `adversarial_step`, in float32 on the CPU, one
folder each:

    golden.json                specs, losses of every step, the torch that wrote it
    generator.safetensors      initial weights; discriminator.safetensors too
    pairs.safetensors          source and target, uint8, [step, batch, 3, H, W]
    outputs.safetensors        fake_0 ...: the generator's output in each step, before its update

They stand for what p2ptk computes today, which tests/test_step_parity.py shows to be the
reference's. So they are written anew only when the numbers are meant to change, and the commit
says why. Weights and pairs come from fixed seeds: on the same machine the files are the same.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]

from test_step_parity import RGB, golden_steps  # noqa: E402  the path is set just above

from p2ptk.components import create  # noqa: E402
from p2ptk.init import initialise  # noqa: E402

STEPS, BATCH, SIZE = 3, 2, 32

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "unet-batch-vanilla": {
        "generator": "unet:depth=5,width=2,dropout=0.0",
        "discriminator": "patchgan:layers=2,width=4",
        "losses_of": {"gan": "gan:mode=vanilla", "l1": "l1:weight=100"},
        "judge": "after",
    },
    "resnet-instance-lsgan": {
        "generator": "resnet:blocks=2,width=3,norm=instance",
        "discriminator": "patchgan:layers=1,width=4,norm=instance",
        "losses_of": {"gan": "gan:mode=lsgan", "l1": "l1:weight=10"},
        "judge": "after",
    },
    "unet-batch-paper": {
        "generator": "unet:depth=5,width=2,dropout=0.0,bias=none",
        "discriminator": "patchgan:layers=2,width=4,bias=none",
        "losses_of": {"gan": "gan:mode=vanilla,d_scale=1.0", "l1": "l1:weight=100"},
        "judge": "before",
    },
}


def make(name: str, seed: int) -> None:
    """One configuration's folder."""
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    configuration = CONFIGURATIONS[name]
    for number, kind in enumerate(("generator", "discriminator")):
        torch.manual_seed(2 * seed + number)
        network = create(kind, configuration[kind], **RGB)
        # A gain above pix2pix's 0.02, with which nets this narrow put out next to nothing.
        initialise(network, "normal", 0.1)
        save_file(network.state_dict(), folder / f"{kind}.safetensors")
    numbers = torch.Generator().manual_seed(seed)
    shape = (STEPS, BATCH, 3, SIZE, SIZE)
    pairs = {
        side: torch.randint(0, 256, shape, generator=numbers, dtype=torch.uint8)
        for side in ("source", "target")
    }
    save_file(pairs, folder / "pairs.safetensors")

    written = folder / "golden.json"
    written.write_text(json.dumps(configuration))
    made = golden_steps(folder)
    outputs = {f"fake_{step}": fake.contiguous() for step, (_, fake) in enumerate(made)}
    save_file(outputs, folder / "outputs.safetensors")
    losses = [dict(sorted(scalars.items())) for scalars, _ in made]
    about = {**configuration, "losses": losses, "torch": torch.__version__}
    written.write_text(json.dumps(about, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    for number, name in enumerate(CONFIGURATIONS):
        make(name, number)
        print("written:", HERE / name)

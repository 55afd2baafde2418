"""Images/s by GPUs, drawn: docs/images/scale.png."""

from __future__ import annotations

import io
from pathlib import Path

from benchmarks.scaling.counts import count
from benchmarks.scaling.question import HD, PIX2PIX, Question
from benchmarks.scaling.simulate import simulate


def draw(q: Question, path: Path) -> None:
    """One panel a pair of networks: full lines grow the batch, dashed ones share a fixed one."""
    import matplotlib
    from PIL import Image

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter

    figure, panels = plt.subplots(1, 2, figsize=(8.4, 3.5), dpi=100, layout="constrained")
    for panel, setup in zip(panels, (PIX2PIX, HD), strict=True):
        work = count(setup)
        one = simulate(work, q.share, 1, q.cluster).images_per_s
        panel.plot(q.gpus, [one * n for n in q.gpus], ":", color="0.6", label="N times one GPU")
        for network, colour in zip(q.networks, ("C0", "C1", "C3"), strict=False):
            cluster = q.joined(network)
            weak = [simulate(work, q.share, n, cluster).images_per_s for n in q.gpus]
            few = [n for n in q.gpus if n <= q.batch]
            strong = [simulate(work, q.batch // n, n, cluster).images_per_s for n in few]
            panel.plot(q.gpus, weak, "-o", color=colour, ms=3, label=f"{network:g} Gb/s")
            panel.plot(few, strong, "--", color=colour, lw=1.2)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xticks(q.gpus, [str(n) for n in q.gpus])
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        panel.set_title(setup, fontsize=10)
        panel.set_xlabel("GPUs, eight a node")
        panel.grid(alpha=0.25)
    panels[0].set_ylabel("images/s (model)")
    panels[0].legend(fontsize=8, title=f"full: {q.share} pairs on each\ndashed: batch {q.batch}",
                     title_fontsize=8)  # fmt: skip
    whole = io.BytesIO()
    figure.savefig(whole)
    plt.close(figure)
    Image.open(whole).convert("RGB").quantize(64).save(path, optimize=True)

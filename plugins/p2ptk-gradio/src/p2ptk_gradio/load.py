"""A load test of a running server: `python -m p2ptk_gradio.load URL PICTURE`."""

from __future__ import annotations

import statistics
import threading
import time
import urllib.request
from pathlib import Path

import click


@click.command()
@click.argument("url")
@click.argument("picture", type=click.Path(path_type=Path, exists=True))
@click.option("--concurrency", type=int, multiple=True, default=(1, 4, 8), show_default=True,
              help="Requests under way at a time.")  # fmt: skip
@click.option("--count", type=int, default=40, show_default=True, help="Requests of each.")
def load(url: str, picture: Path, concurrency: tuple[int, ...], count: int) -> None:
    """Have PICTURE translated by the server at URL, and print the times of the answers."""
    content = picture.read_bytes()
    measure(url, content, 1, 5)  # the first of a size take longer
    click.echo("concurrency  p50 ms  p95 ms  pictures/s")
    for at_once in concurrency:
        started = time.perf_counter()
        seconds = sorted(measure(url, content, at_once, count))
        rate = len(seconds) / (time.perf_counter() - started)
        p50, p95 = statistics.median(seconds), seconds[max(0, -(-95 * len(seconds) // 100) - 1)]
        click.echo(f"{at_once:11}  {1000 * p50:6.0f}  {1000 * p95:6.0f}  {rate:10.1f}")


def measure(url: str, content: bytes, at_once: int, count: int) -> list[float]:
    """Seconds of `count` answers, asked for by `at_once` threads one after the other."""
    seconds: list[float] = []
    left = iter(range(count))
    lock = threading.Lock()

    def ask() -> None:
        while True:
            with lock:
                if next(left, None) is None:
                    return
            started = time.perf_counter()
            with urllib.request.urlopen(f"{url.rstrip('/')}/v1/translate", content) as answer:
                answer.read()
            seconds.append(time.perf_counter() - started)

    threads = [threading.Thread(target=ask) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seconds


if __name__ == "__main__":
    load()

"""Imports modules and writes down what that did: `python -m p2ptk.testing.fresh_process ANSWER`.

The request comes as JSON on standard input: `{"torch_first": bool, "modules": {name: file}}`.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import random
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from p2ptk.testing.offline import host_of

asked: list[str] = []  # hosts
cuda: list[str] = []


def refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: whoever asks for a host is noted, and told that there is no network."""
    host = host_of(event, arguments)
    if host is not None:
        asked.append(host)
        raise OSError("the network is closed while p2ptk checks an import")


def watch_cuda() -> None:
    """Note each call for CUDA, also where this torch has none."""
    import torch

    lazily = torch.cuda._lazy_init

    def noted() -> None:
        cuda.append("torch.cuda")
        lazily()

    torch.cuda._lazy_init = noted


def states(libraries: Collection[str]) -> dict[str, Any]:
    """The global generators of these libraries."""
    found: dict[str, Any] = {"random": random.getstate()}
    if "numpy" in libraries:
        import numpy as np

        found["numpy.random"] = [str(part) for part in np.random.get_state()]  # noqa: NPY002
    if "torch" in libraries:
        import torch

        found["torch"] = torch.get_rng_state().tolist()
    return found


def switches(libraries: Collection[str]) -> dict[str, Any]:
    """torch's settings that hold for the whole process."""
    if "torch" not in libraries:
        return {}
    import torch

    functions: tuple[Callable[[], Any], ...] = (
        torch.get_default_dtype,
        torch.is_grad_enabled,
        torch.get_num_threads,
        torch.get_float32_matmul_precision,
        torch.are_deterministic_algorithms_enabled,
    )
    found = {f"torch.{f.__name__}()": f() for f in functions}
    found["torch.backends.cudnn.benchmark"] = torch.backends.cudnn.benchmark
    return found


def load(name: str, file: str | None) -> None:
    """Import a module by its name, else by its file."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        top = name.partition(".")[0]
        if not file or (error.name or "").partition(".")[0] != top:
            raise
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)


def observe(name: str, file: str | None) -> dict[str, Any]:
    """Import a module and say what that did; see `p2ptk.testing.fresh.Import`."""
    asked.clear()
    cuda.clear()
    # Only those that were there before: a library may seed its generator when it is imported.
    here = {"numpy", "torch"} & sys.modules.keys()
    drawn, switched = states(here), switches(here)
    started = time.perf_counter()
    error = ""
    try:
        load(name, file)
    except BaseException as raised:
        error = f"{type(raised).__name__}: {raised}"
    seconds = time.perf_counter() - started
    now, settings = states(here), switches(here)
    return {
        "error": error,
        "cuda": bool(cuda),
        "network": sorted(set(asked)),
        "drawn": [k for k, state in drawn.items() if now[k] != state],
        "changed": [k for k, value in switched.items() if settings[k] != value],
        "torch": "torch" not in here and "torch" in sys.modules,
        "seconds": seconds,
    }


def main() -> None:
    request = json.load(sys.stdin)
    if request["torch_first"]:
        import numpy  # noqa: F401
        import torch  # noqa: F401

        watch_cuda()
    sys.addaudithook(refuse_network)
    answer: dict[str, Any] = {}
    for name, file in request["modules"].items():
        answer[name] = observe(name, file)
        # Written after each, so that one that ends the process leaves those before it.
        Path(sys.argv[1]).write_text(json.dumps(answer), "utf-8")


if __name__ == "__main__":
    main()

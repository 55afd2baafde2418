"""What importing a module does, found out in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 300  # seconds for all modules of a distribution


@dataclass(frozen=True)
class Import:
    """What one import did.

    error: why it failed, or nothing. cuda: it asked torch for CUDA. network: hosts it asked for.
    drawn: global generators it moved. changed: torch's switches it changed. torch: it loaded torch.
    """

    error: str = ""
    cuda: bool = False
    network: tuple[str, ...] = ()
    drawn: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    torch: bool = False
    seconds: float = 0.0


_known: dict[tuple[str, str, bool], Import] = {}


def import_alone(module: str, others: Sequence[str] = (), *, torch_first: bool = True) -> Import:
    """Import a module in a fresh Python that has no network.

    others: modules that are likely to be asked for too: they are imported in the same process, and
    remembered. torch_first: torch is there before, so that its own import is not counted.
    """
    places = {m: _place(m) for m in {module, *others}}
    key = (module, places[module], torch_first)
    if key not in _known:
        new = [m for m in sorted(places) if (m, places[m], torch_first) not in _known]
        for name, done in _import_all(new, torch_first).items():
            _known[name, places[name], torch_first] = done
    return _known[key]


def _place(module: str) -> str:
    """The file of a module, empty where it is not found: by its name it may be another's too."""
    try:
        loaded = sys.modules.get(module)
        spec = loaded.__spec__ if loaded else importlib.util.find_spec(module)
    except Exception:  # whatever its package raises at import
        return ""
    return (spec.origin if spec else "") or ""


def _import_all(modules: Sequence[str], torch_first: bool) -> dict[str, Import]:
    request = {
        "torch_first": torch_first,
        # A local plugin file is a module only here: the other process needs its place.
        "modules": {m: getattr(sys.modules.get(m), "__file__", None) for m in modules},
    }
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        path = os.pathsep.join(p or "." for p in sys.path)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "p2ptk.testing.fresh_process", str(answer)],
                input=json.dumps(request),
                env={**os.environ, "PYTHONPATH": path},
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
            why = f"Python ended with {done.returncode}: {done.stderr.strip()[-300:]}"
        except subprocess.TimeoutExpired:
            why = f"it took longer than {PATIENCE} seconds"
        made = json.loads(answer.read_text("utf-8")) if answer.exists() else {}
    return {m: _read(made[m]) if m in made else Import(error=why) for m in modules}


def _read(written: dict[str, Any]) -> Import:
    fields: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in written.items()}
    return Import(**fields)

"""`p2ptk doctor`: check versions, devices and memory."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

import p2ptk
from p2ptk.cli import doctor_gpu
from p2ptk.cli.doctor_packages import missing_by_extra, torchvision_fault

GIB = 2**30


@click.command(
    epilog="Exit code 1 where something is broken: torch, a plugin, or a GPU that torch can't use."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def doctor(as_json: bool) -> int:
    """Check what p2ptk depends on: versions, devices, memory, plugins. Says what to do."""
    facts = examine()
    if as_json:
        click.echo(json.dumps(facts, indent=1, ensure_ascii=False))
    else:
        _print(facts)
    return 0 if facts["ok"] else 1


def examine() -> dict[str, Any]:
    """Everything the doctor looks at, in plain values, with `findings` of level and text."""
    from p2ptk.plugins import registry

    torch, findings = torch_facts()
    found = [
        {k: getattr(s, k) for k in ("distribution", "version", "status", "reason")}
        for s in registry().plugins
    ]
    for plugin in found:
        if plugin["status"] in ("failed", "incompatible"):
            text = f"plugin {plugin['distribution']} {plugin['version']} did not load: "
            findings.append({"level": "broken", "text": text + plugin["reason"]})
    free = shutil.disk_usage(Path.cwd()).free
    if free < 2 * GIB:
        text = f"only {free / GIB:.1f} GiB are free in {Path.cwd()}; a run keeps 2 to 3 GiB."
        findings.append({"level": "note", "text": text})
    extras = missing_by_extra()
    for extra, missing in extras.items():
        if missing and extra != "all":
            text = f'{", ".join(missing)} missing: pip install "p2ptk[{extra}]" adds it.'
            findings.append({"level": "note", "text": text})
    return {
        "ok": not any(f["level"] == "broken" for f in findings),
        "p2ptk": p2ptk.__version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        **torch,
        "cpu": {"cores": os.cpu_count(), "usable": usable_cores()},
        "memory": memory(),
        "disk": {"folder": str(Path.cwd()), "free_gib": round(free / GIB, 1)},
        "extras": {extra: {"missing": missing} for extra, missing in extras.items()},
        "plugins": found,
        "findings": findings,
    }


def torch_facts() -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Versions and builds of torch and torchvision, the devices, and what is wrong with them."""
    findings = []
    facts: dict[str, Any] = {"torch": None, "torchvision": None, "build": None, "devices": []}
    try:
        import torch
    except Exception as error:
        text = f"torch can't be imported ({type(error).__name__}: {error}): install it anew."
        return facts, [{"level": "broken", "text": text}]
    facts |= {"torch": str(torch.__version__), "build": build_of(torch)}
    facts["torchvision"], fault = torchvision_fault(facts["torch"])
    if fault:
        findings.append({"level": "broken", "text": fault})

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    told = doctor_gpu.verdict(
        doctor_gpu.look(),
        version=str(torch.__version__),
        cuda=torch.version.cuda or torch.version.hip,
        available=available,
        warnings=[str(w.message) for w in said],
        visible=os.environ.get("CUDA_VISIBLE_DEVICES"),
    )
    if told:
        findings.append({"level": told[0], "text": told[1]})
    names = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if available else []
    names += ["mps"] if torch.backends.mps.is_available() else []
    for name in [*names, "cpu"]:
        device = _device(torch, name)
        facts["devices"].append(device)
        if device["error"]:
            text = f"{name} ({device['what']}) can't compute: {device['error']}"
            findings.append({"level": "broken", "text": text})
    return facts, findings


def build_of(torch: Any) -> str:
    """What this torch was built for: `CUDA 13.0`, `ROCm 6.4`, or `CPU only`."""
    if torch.version.cuda:
        return f"CUDA {torch.version.cuda}"
    if torch.version.hip:
        return f"ROCm {torch.version.hip}"
    return "CPU and MPS" if torch.backends.mps.is_built() else "CPU only"


def _device(torch: Any, name: str) -> dict[str, Any]:
    """A device's name and memory, whether p2ptk trains in bf16 on it, and a small calculation."""
    from p2ptk.device import choose_precision, describe_device

    device = torch.device(name)
    facts: dict[str, Any] = {"device": name, "what": platform.machine(), "error": ""}
    try:
        facts["what"] = describe_device(device)
        facts["bf16"] = choose_precision("auto", device).name == "bf16"
        if device.type == "cuda":
            free, total = torch.cuda.mem_get_info(device)
            facts |= {"memory_gib": round(total / GIB, 1), "free_gib": round(free / GIB, 1)}
        # Seeing a GPU is not using it: a build may lack code for this one.
        ones = torch.ones(8, 8, device=device)
        if float((ones @ ones).sum()) != 512:
            facts["error"] = "it multiplies wrongly"
    except Exception as error:
        facts["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
    return facts


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory() -> dict[str, float | None]:
    """RAM in GiB, total (or what a container allows) and available; None where it is not told."""
    total = available = None
    with suppress(OSError, ValueError, AttributeError):
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable"))
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError, TypeError):
            total = min(total, int(Path("/sys/fs/cgroup", limit).read_text()))  # type: ignore[type-var]
    return {
        "total_gib": round(total / GIB, 1) if total else None,
        "available_gib": round(available / GIB, 1) if available else None,
    }


def _print(facts: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    from p2ptk.cli.show import print_lines

    torch = f"{facts['torch']} ({facts['build']})" if facts["torch"] else "can't be imported"
    lines = [
        ("p2ptk", facts["p2ptk"]),
        ("python", f"{facts['python']}, {facts['executable']}"),
        ("system", facts["platform"]),
        ("torch", torch),
        ("torchvision", facts["torchvision"] or "not installed"),
    ]
    for device in facts["devices"]:
        precision = "trains in bf16" if device.get("bf16") else "trains in float32"
        free = f", {device['free_gib']} GiB free" if "free_gib" in device else ""
        known = device["what"].startswith(device["device"])
        name = device["what"] if known else f"{device['device']}: {device['what']}"
        lines.append(("device", f"{name}{free}, {precision}"))
    ram = facts["memory"]
    lines += [
        ("cores", f"{facts['cpu']['usable']} of {facts['cpu']['cores']}"),
        ("memory", f"{ram['total_gib'] or '?'} GiB, {ram['available_gib'] or '?'} GiB available"),
        ("disk", f"{facts['disk']['free_gib']} GiB free in {facts['disk']['folder']}"),
    ]
    for extra, found in facts["extras"].items():
        lacks = ", ".join(found["missing"])
        lines.append(("extras", f"{extra}: {'lacks ' + lacks if lacks else 'installed'}"))
    for plugin in facts["plugins"]:
        words = f"{plugin['distribution']} {plugin['version'][:15]}: {plugin['status']}"
        lines.append(("plugins", words))
    print_lines(lines)
    console = Console(highlight=False)
    console.print()
    for finding in facts["findings"]:
        style = "bold red" if finding["level"] == "broken" else "yellow"
        console.print(Text.assemble((f"{finding['level']}: ", style), finding["text"]))
    if facts["ok"]:
        console.print(Text("nothing is broken", style="green"))

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import p2ptk
from p2ptk.cli import doctor, doctor_gpu, doctor_packages
from p2ptk.cli.doctor_gpu import Evidence, verdict

Command = Callable[..., Any]
H200 = Evidence(gpus=("NVIDIA H200, driver 570.1",), device_files=True, library=True)


@pytest.fixture(autouse=True)
def _no_gpu_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_gpu, "look", Evidence)


def test_says_what_is_installed(command: Command) -> None:
    done = command("doctor")
    assert done.code == 0
    for words in (
        f"p2ptk {p2ptk.__version__}",
        f"torch {torch.__version__} (",
        f"cores {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else ''}",
        "GiB available",
        f"GiB free in {Path.cwd()}",
        f"plugins p2ptk {p2ptk.__version__}: active",
        "nothing is broken",
    ):
        assert words in done.words, words


def test_json(command: Command) -> None:
    facts = command("doctor", "--json").json
    assert facts["ok"] is True
    assert facts["torch"] == torch.__version__
    assert facts["executable"] == sys.executable
    cpu = facts["devices"][-1]
    assert cpu["device"] == "cpu"
    assert cpu["error"] == ""
    assert isinstance(cpu["bf16"], bool)
    assert 0 < facts["memory"]["total_gib"] < 100_000
    assert facts["memory"]["available_gib"] is None or facts["memory"]["available_gib"] > 0
    assert facts["disk"]["free_gib"] > 0
    assert {"report", "study", "all"} <= set(facts["extras"])
    assert facts["plugins"][0]["distribution"] == "p2ptk"


@pytest.mark.parametrize(
    ("seen", "torch_is", "level", "words"),
    [
        (Evidence(), {"cuda": None}, None, ""),
        (Evidence(library=True), {"cuda": None}, None, ""),  # a driver without a GPU: a container
        (H200, {"cuda": "12.8", "available": True}, None, ""),
        (
            H200,
            {"cuda": None},
            "broken",
            "(NVIDIA H200, driver 570.1) is here, but torch 2.9 is a CPU",
        ),
        (H200, {"cuda": None}, "broken", "--torch-backend=auto"),
        (H200, {"cuda": "12.8"}, "broken", "torch 2.9 (CUDA 12.8) does not see it. Upgrade"),
        (
            H200,
            {"cuda": "12.8", "warnings": ["The NVIDIA driver on your system is too old."]},
            "broken",
            "torch says: The NVIDIA driver on your system is too old. Upgrade NVIDIA's driver",
        ),
        (
            Evidence(smi_error="Failed to initialize NVML", device_files=True),
            {"cuda": "12.8"},
            "broken",
            "nvidia-smi says: Failed to initialize NVML.",
        ),
        (Evidence(on_bus=True), {"cuda": "12.8"}, "broken", "its driver is not: install NVIDIA's"),
        (H200, {"cuda": "12.8", "visible": ""}, "note", "CUDA_VISIBLE_DEVICES='' hides it"),
        (H200, {"cuda": None, "visible": "-1"}, "note", "CUDA_VISIBLE_DEVICES='-1' hides it"),
        (
            Evidence(gpus=("NVIDIA A, driver 1", "NVIDIA B, driver 1")),
            {"cuda": None},
            "broken",
            "(NVIDIA A, driver 1 and 1 more)",
        ),
    ],
)
def test_what_is_said_of_a_gpu(
    seen: Evidence, torch_is: dict[str, Any], level: str | None, words: str
) -> None:
    told = verdict(seen, **{"version": "2.9", "available": False, **torch_is})
    if level is None:
        assert told is None
    else:
        assert told is not None
        assert told[0] == level
        assert words in told[1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees the GPU of this machine")
def test_a_gpu_that_torch_cannot_use_is_an_error(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_gpu, "look", lambda: H200)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.version, "cuda", None)
    done = command("doctor")
    assert done.code == 1
    assert "broken: an NVIDIA GPU (NVIDIA H200, driver 570.1) is here, but torch" in done.words
    assert "nothing is broken" not in done.out
    assert command("doctor", "--json").json["build"] in ("CPU only", "CPU and MPS")


def test_the_pci_bus_is_read(tmp_path: Path) -> None:
    for number, (vendor, kind) in enumerate([("0x8086", "0x030000"), ("0x10de", "0x040300")]):
        device = tmp_path / f"0000:0{number}:00.0"
        device.mkdir()
        (device / "vendor").write_text(f"{vendor}\n")
        (device / "class").write_text(f"{kind}\n")
    (tmp_path / "0000:09:00.0").mkdir()  # one that tells nothing
    assert not doctor_gpu._on_bus(tmp_path)
    (tmp_path / "0000:01:00.0" / "class").write_text("0x030200\n")
    assert doctor_gpu._on_bus(tmp_path)
    assert not doctor_gpu._on_bus(tmp_path / "nowhere")


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands for the program")
@pytest.mark.parametrize(
    ("script", "gpus", "error"),
    [
        ("echo 'NVIDIA H200, 570.1'; echo 'NVIDIA T4, 570.1'", 2, ""),
        ("echo 'NVIDIA-SMI has failed.'; exit 9", 0, "NVIDIA-SMI has failed"),
        ("echo 'No devices were found'", 0, ""),
    ],
)
def test_nvidia_smi_is_asked(
    script: str, gpus: int, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found, complaint = doctor_gpu._nvidia_smi()
    assert len(found) == gpus
    assert complaint == error
    if gpus:
        assert found[0] == "NVIDIA H200, driver 570.1"


@pytest.mark.usefixtures("two_plugins")
def test_a_plugin_that_does_not_load_is_an_error(command: Command) -> None:
    done = command("doctor")
    assert done.code == 1
    assert "broken: plugin p2ptk-bad 0.3 did not load: ModuleNotFoundError" in done.words
    assert command("doctor", "--no-plugins").code == 0


def test_a_torch_that_does_not_import(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    done = command("doctor")
    assert done.code == 1
    assert "broken: torch can't be imported (ModuleNotFoundError" in done.words


def test_a_device_that_cannot_compute_is_an_error(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ones(*size: int, device: Any) -> torch.Tensor:
        raise RuntimeError("no kernel image is available\nand more")

    monkeypatch.setattr(torch, "ones", ones)
    done = command("doctor")
    assert done.code == 1
    assert "can't compute: RuntimeError: no kernel image is available" in done.words


def test_torchvision_must_go_with_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_packages.metadata, "version", lambda name: "0.9")
    monkeypatch.setattr(
        doctor_packages.metadata, "requires", lambda name: ["torch==2.6.0", "numpy"]
    )
    assert doctor_packages.torchvision_fault("2.6.0+cu124") == ("0.9", "")
    _, fault = doctor_packages.torchvision_fault("2.9.1")
    assert (
        fault == "torchvision 0.9 needs torch ==2.6.0, and torch is 2.9.1: install both together."
    )


def test_missing_extras_are_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_packages, "installed", lambda name: name not in ("jinja2", "scipy"))
    missing = doctor_packages.missing_by_extra()
    assert missing["report"] == ["jinja2"]
    assert missing["study"] == ["jinja2", "scipy"]
    assert set(missing["all"]) == {"jinja2", "scipy"}
    done = command("doctor")
    assert done.code == 0
    assert 'note: jinja2 missing: pip install "p2ptk[report]" adds it.' in done.words
    assert "extras" in done.out
    assert "report: lacks jinja2" in done.words


def test_a_full_disk_is_noted(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = doctor.shutil.disk_usage(Path.cwd())
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage._replace(free=2**29))
    done = command("doctor")
    assert done.code == 0
    assert "note: only 0.5 GiB are free in" in done.words

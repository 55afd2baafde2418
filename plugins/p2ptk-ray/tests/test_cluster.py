"""What is said before anything runs, and what a run takes of a node; no cluster is needed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from p2ptk import Unavailable, UserError, create
from p2ptk_ray import cluster as clusters
from p2ptk_ray import task
from p2ptk_ray.cluster import Share, joined, need_room, share

WORKSTATION = {"CPU": 16.0, "GPU": 2.0, "memory": 1e11}
SERVER = {"CPU": 96.0, "GPU": 8.0}
PLAIN = {"CPU": 8.0}
HEAD = {"memory": 1e9}


@pytest.mark.parametrize(
    ("asked", "nodes", "taken"),
    [
        ((None, None), [PLAIN, HEAD], Share(1.0, 0.0)),
        ((None, None), [WORKSTATION], Share(8.0, 1.0)),
        ((None, None), [WORKSTATION, SERVER, PLAIN], Share(8.0, 1.0)),
        ((None, 0.5), [WORKSTATION], Share(4.0, 0.5)),
        ((None, 4.0), [WORKSTATION, SERVER], Share(48.0, 4.0)),
        ((None, 0.25), [{"CPU": 3.0, "GPU": 1.0}], Share(0.75, 0.25)),
        ((None, None), [{"CPU": 7.0, "GPU": 2.0}], Share(3.0, 1.0)),
        ((2.0, 0.0), [WORKSTATION], Share(2.0, 0.0)),
        ((None, 16.0), [SERVER], Share(1.0, 16.0)),
    ],
)
def test_what_a_run_takes(asked: Any, nodes: Any, taken: Share) -> None:
    found = share(asked[0], asked[1], nodes)
    assert found == taken
    if taken.gpus < 16:
        need_room(found, nodes)


@pytest.mark.parametrize(
    ("wanted", "nodes", "sentence"),
    [
        (
            Share(2.0, 1.0),
            [PLAIN, PLAIN],
            "no node of the Ray cluster has 1 GPU and 2 cores for a run; there are nodes of 8 "
            "cores. ",
        ),
        (Share(17.0, 1.0), [WORKSTATION, PLAIN], "has 1 GPU and 17 cores for"),
        (Share(1.0, 9.0), [WORKSTATION, SERVER], "nodes of 2 GPUs and 16 cores, 8 GPUs and 96 cor"),
        (Share(1.0, 0.0), [HEAD], "has 1 core for a run; there are nodes of 0 cores."),
    ],
)
def test_more_than_any_node_has(wanted: Share, nodes: Any, sentence: str) -> None:
    with pytest.raises(UserError) as said:
        need_room(wanted, nodes)
    assert sentence in str(said.value)


def test_without_ray_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2ptk_ray.launcher.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match="needs Ray, which is not installed here: pip install"):
        create("launcher", "ray")


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("ray:gpus=1.5", "gpus=1.5: Ray divides one GPU, or gives whole ones."),
        ("ray:gpus=-1", "gpus"),
        ("ray:cpus=0", "cpus"),
        ("ray:adress=auto", "did you mean 'address'"),
        ("ray:retries=1.5", "retries"),
    ],
)
def test_wrong_parameters(spec: str, sentence: str) -> None:
    pytest.importorskip("ray", reason="Ray is not installed, or has no wheel for this platform")
    with pytest.raises(UserError) as said:
        create("launcher", spec)
    assert sentence in str(said.value)


def test_nothing_to_do_needs_no_cluster() -> None:
    pytest.importorskip("ray", reason="Ray is not installed, or has no wheel for this platform")
    assert list(create("launcher", "ray:address=127.0.0.1:1").launch([])) == []


JOINS = """
import sys
from p2ptk import UserError
from p2ptk_ray.cluster import joined
for address in sys.argv[1:]:
    try:
        with joined(address):
            print("joined?")
    except UserError as error:
        print(error)
"""


def test_addresses_that_lead_nowhere() -> None:
    """In a process of its own: the tests' is joined to a cluster already."""
    pytest.importorskip("ray", reason="Ray is not installed, or has no wheel for this platform")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        done = subprocess.run(
            [
                *(sys.executable, "-c", JOINS, f"127.0.0.1:{port}", "gpu-box", "127.0.0.1:99999"),
                *("ray://gpu-box:10001", "no-such-host.invalid:6379"),
            ],
            capture_output=True,
            text=True,
        )
    assert done.stderr == ""
    said = done.stdout.splitlines()
    assert said[0] == f"no Ray cluster answers at 127.0.0.1:{port}: Connection refused."
    assert said[1].startswith("'gpu-box' is no address of a Ray cluster: write HOST:PORT")
    assert said[2].startswith("no Ray cluster answers at 127.0.0.1:99999: ")
    assert said[3].startswith("the launcher 'ray' can't work through Ray Client (ray://gpu-box:")
    assert said[4].startswith("no Ray cluster answers at no-such-host.invalid:6379: ")
    assert len(said) == 5


def test_ray_takes_neither_the_signal_nor_the_foreground(monkeypatch: pytest.MonkeyPatch) -> None:
    groups, moved = iter([4, 9]), []
    monkeypatch.setattr(os, "getpgrp", lambda: next(groups), raising=False)
    monkeypatch.setattr(os, "setpgid", lambda *to: moved.append(to), raising=False)
    before = signal.getsignal(signal.SIGTERM)
    with clusters._process_kept():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) == before
    assert moved == [(0, 4)]


def test_a_node_that_does_not_see_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Job:
        command = (sys.executable,)

    monkeypatch.setattr(task, "APPEARS", 0.0)
    order = task.Order(Job(), tmp_path / "study" / ".ray-1.lease", tmp_path, {})
    answer = task.carry_out(order)
    assert answer.result is None
    assert answer.trouble.startswith(f"does not see the study's folder {tmp_path / 'study'}: ")


def test_only_a_missing_lease_is_gone(tmp_path: Path) -> None:
    lease = tmp_path / "lease"
    assert task.is_gone(lease)
    lease.touch()
    assert not task.is_gone(lease)
    assert task.is_gone(lease / "below a file")
    assert not task.is_gone(tmp_path / ("a" * 300)), "the system could not say"


def test_joined_keeps_a_connection_that_is_there(cluster: str) -> None:
    import ray

    with joined("127.0.0.1:1"):
        assert ray.is_initialized()
    assert ray.is_initialized()

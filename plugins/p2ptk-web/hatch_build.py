"""Put onnxruntime-web's files into the wheel, from its npm package.

They are taken, in this order, from src/p2ptk_web/runtime if they are there already, from the folder
that P2PTK_WEB_RUNTIME names (the package unpacked), or fetched by `npm pack`, whose file must have
the SHA-512 below. A wheel is not built without them. An editable install is: `p2ptk export --format
web` then asks for --runtime.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VERSION = "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
PLACE = Path("src", "p2ptk_web", "runtime")
# Of the package's folder `dist`; `p2ptk_web.page.FILES` is the same list.
FILES = (
    "ort.wasm.min.mjs",
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)


class RuntimeHook(BuildHookInterface[Any]):
    """hatchling calls `initialize` before it gathers the wheel's files."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        place = Path(self.root, PLACE)
        if all((place / name).is_file() for name in FILES):
            return
        try:
            given = os.environ.get("P2PTK_WEB_RUNTIME")
            copy(Path(given), place) if given else fetch(place)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            reason = f"onnxruntime-web {VERSION} can't be had ({error})"
            if version != "editable":
                raise RuntimeError(
                    f"{reason}: install npm, or unpack that package and name its folder in "
                    "P2PTK_WEB_RUNTIME."
                ) from error
            self.app.display_warning(f"{reason}: pages need --runtime FOLDER.")


def copy(package: Path, place: Path) -> None:
    """The files that a page needs, out of an unpacked package. Raises OSError where one lacks."""
    place.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(package / "dist" / name, place / name)
    (place / "VERSION").write_text(VERSION + "\n", "utf-8")


def fetch(place: Path) -> None:
    """The same by `npm pack`. Raises OSError, SubprocessError, or ValueError for another file."""
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("there is no npm")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [npm, "pack", f"onnxruntime-web@{VERSION}", "--pack-destination", folder],
            check=True,
            capture_output=True,
            timeout=600,
            cwd=folder,
        )
        (packed,) = Path(folder).glob("*.tgz")
        digest = base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
        if digest != SHA512:
            raise ValueError("npm's file is not the one that was looked at")
        with tarfile.open(packed) as archive:
            archive.extractall(folder, filter="data")
        copy(Path(folder, "package"), place)

"""A folder with a page, a model and the runtime that runs it in a browser."""

from __future__ import annotations

import json
import shutil
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

from p2ptk import UserError

FILES = (
    "ort.wasm.min.mjs",
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
OWN = ("index.html", "style.css", "app.js", "pixels.js")
NOTICE = "LICENSE-onnxruntime-web.txt"


def write_page(model: Path, out: Path, runtime: Path | None = None) -> None:
    """Write the folder `out`, whole or not at all.

    model: an ONNX file that `p2ptk export` wrote. runtime: onnxruntime-web's package, unpacked.
    Raises UserError for another file, for pictures that a browser has no form of, where the runtime
    is missing, or where `out` is there already.
    """
    if out.exists():
        raise UserError(f"{out} is there already: name a folder that is not.")
    facts = read_facts(model)
    need_pictures(facts)
    files = find_runtime(runtime)
    own = resources.files("p2ptk_web").joinpath("page")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, so that the last step is a renaming.
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".p2ptk-web-") as hidden:
            folder = Path(hidden, "page")
            (folder / "runtime").mkdir(parents=True)
            for name in OWN:
                (folder / name).write_bytes(own.joinpath(name).read_bytes())
            (folder / "runtime" / NOTICE).write_bytes(own.joinpath(NOTICE).read_bytes())
            (folder / "model.json").write_text(json.dumps(facts, indent=1), "utf-8")
            shutil.copyfile(model, folder / "model.onnx")
            for file in files:
                shutil.copyfile(file, folder / "runtime" / file.name)
            folder.replace(out)
    except OSError as error:
        raise UserError(f"{out} can't be written: {error.strerror or error}.") from error


def read_facts(model: Path) -> dict[str, Any]:
    """What an exported file says of itself, for the page. Raises UserError for another file."""
    import onnx
    from google.protobuf.message import DecodeError

    if not model.is_file():
        raise UserError(f"there is no file {str(model)!r}.")
    try:
        props = {p.key: p.value for p in onnx.load(str(model)).metadata_props}
        facts: dict[str, Any] = json.loads(props["p2ptk_export"])
        header = json.loads(props["p2ptk"])
    except (DecodeError, KeyError, ValueError):
        raise UserError(
            f"{model} is no ONNX file of p2ptk's: write one with `p2ptk export --format onnx`."
        ) from None
    about = {key: header.get(key) for key in ("trained_on", "step", "direction")}
    return {**facts, **about}


def need_pictures(facts: dict[str, Any]) -> None:
    """Raises UserError where a canvas can't hold the source or the translation."""
    for name, word in (("source", "takes"), ("image", "gives")):
        side = facts[name]
        if side["kind"] == "labels" and not side["palette"]:
            raise UserError(
                f"the model {word} class numbers without colours, which a browser has no picture "
                "of: give the data's side a palette before training."
            )
        if side["kind"] == "values":
            raise UserError(f"the model {word} measurements, which a browser has no picture of.")
        if side["kind"] == "image" and side["channels"] not in (1, 3):
            raise UserError(
                f"the model {word} pictures of {side['channels']} channels; a browser's have 1 "
                "or 3."
            )


def find_runtime(given: Path | None) -> list[Path]:
    """onnxruntime-web's files. Raises UserError where one is missing."""
    if given is None:
        folder = Path(str(resources.files("p2ptk_web").joinpath("runtime")))
        missing = "this p2ptk-web was installed without onnxruntime-web: pass --runtime FOLDER, "
        missing += "that package unpacked"
    else:
        folder = given / "dist" if (given / "dist").is_dir() else given
        missing = f"{given} is no unpacked onnxruntime-web"
    files = [folder / name for name in FILES]
    for file in files:
        if not file.is_file():
            raise UserError(f"{missing}; it lacks {file.name}.")
    return files

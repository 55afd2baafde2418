"""The two kinds of file that `export_model` writes, and how each is run to check it."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from packaging.version import Version
from torch import Tensor
from torch.export import ExportedProgram

from p2ptk.errors import UserError
from p2ptk.export.check import Run
from p2ptk.export.trace import Traced, first_line, quiet

INSTALL = 'pip install "p2ptk[export]"'
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
OPSET = 20  # what onnxruntime's browser build has kernels for since 2024
FACTS = "p2ptk_export"  # the key of a file's facts beside `p2ptk`, its model's header

# Torch 2.6 gives BatchNormalization three outputs, where onnxscript expects one; 2.7 is untried.
OLD_BATCH_NORM = Version(torch.__version__).release < (2, 8)

# Writes a file with these metadata, and gives how to run it.
Write = Callable[[Path, Mapping[str, str]], Run]


def to_onnx(traced: Traced, opset: int, seeded: bool) -> Write:
    """An ONNX model: inputs `source` (and `seed`), output `image`.

    Raises UserError where a package is missing, or an operation has no ONNX form.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UserError(f"export to ONNX needs the package {missing[0]}: {INSTALL}")
    try:
        # Torch writes of its progress to standard output.
        with quiet(), contextlib.redirect_stdout(io.StringIO()):
            made = torch.onnx.export(
                _without_batch_norm(traced.program) if OLD_BATCH_NORM else traced.program,
                dynamo=True,
                opset_version=opset,
                input_names=["source", "seed"] if seeded else ["source"],
                output_names=["image"],
                verbose=False,
            )
    except Exception as error:
        raise UserError(
            f"this generator has no ONNX form of opset {opset}: {first_line(error)}; "
            "`--format torch` may do."
        ) from error
    assert made is not None
    proto = made.model_proto

    def write(place: Path, metadata: Mapping[str, str]) -> Run:
        import onnx

        found = {item.version for item in proto.opset_import if item.domain in ("", "ai.onnx")}
        if found != {opset}:
            raise UserError(f"this torch writes opset {max(found)} at least, not {opset}.")
        _name_axes(proto, traced)
        onnx.helper.set_model_props(proto, dict(metadata))
        onnx.save_model(proto, str(place))
        return _onnx_session(place)

    return write


def _without_batch_norm(program: ExportedProgram) -> ExportedProgram:
    """Normalisation by running statistics, as a factor and an offset a channel."""
    batch_norm = torch.ops.aten._native_batch_norm_legit_no_training.default

    def affine(
        x_BCHW: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        variance: Tensor,
        momentum: float,
        epsilon: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        factor = (variance + epsilon).rsqrt()
        factor = factor if weight is None else factor * weight
        offset = -mean * factor if bias is None else bias - mean * factor
        unused = mean.new_empty(0)
        return x_BCHW * factor[:, None, None] + offset[:, None, None], unused, unused

    return program.run_decompositions({batch_norm: affine})


def _name_axes(proto: Any, traced: Traced) -> None:
    """Call free dimensions batch, height and width, whatever torch called them."""
    for value in (proto.graph.input[0], proto.graph.output[0]):
        dims = value.type.tensor_type.shape.dim
        free = {0: "batch"} if traced.any_batch else {}
        free |= {} if traced.size else {2: "height", 3: "width"}
        for place, name in free.items():
            dims[place].dim_param = name


def _onnx_session(place: Path) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(place), options, providers=["CPUExecutionProvider"])

    def run(source: Tensor, seed: Tensor | None) -> Tensor:
        given = {"source": source.contiguous().numpy()}
        if seed is not None:
            given["seed"] = seed.numpy()
        return torch.from_numpy(session.run(None, given)[0])

    return run


def to_torch(traced: Traced) -> Write:
    """A torch.export program: `torch.export.load(FILE).module()` takes (source) or (source, seed).

    The facts are its extra files `p2ptk.json` and `p2ptk_export.json`.
    """

    def write(place: Path, metadata: Mapping[str, str]) -> Run:
        extra = {f"{key}.json": text for key, text in metadata.items()}
        with quiet():
            torch.export.save(traced.program, place, extra_files=extra)
            module = torch.export.load(place).module()

        def run(source: Tensor, seed: Tensor | None) -> Tensor:
            with torch.no_grad():
                image: Tensor = module(source) if seed is None else module(source, seed)
            return image

        return run

    return write


def metadata_of(header: str, facts: Mapping[str, Any]) -> dict[str, str]:
    """What stands in a file: the model's header as in its safetensors, and the export's facts."""
    return {"p2ptk": header, FACTS: json.dumps(facts)}

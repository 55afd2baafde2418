"""What the page's buttons do. Whatever is wrong with the input is a message in the page."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from p2ptk_gradio.about import examples
from p2ptk_gradio.api import as_png
from p2ptk_gradio.draw import read_drawing, shown
from p2ptk_gradio.engine import Engine
from p2ptk_gradio.limits import TILES, Refused, explain, open_picture
from p2ptk_gradio.many import pictures_in, write_archive
from p2ptk_gradio.models import Ask

AS_TRAINED = "as trained"
NOISE = {AS_TRAINED: None, "off": False, "on": True}
KINDS = {"image": "a picture", "labels": "a label map", "values": "a map of values"}
Shown = tuple[Image.Image, Image.Image]


class Actions:
    """folder: where results are written that the page offers for download."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder

    def translate(
        self, picture: str | None, model: str, seed: float, tile: str, noise: str, fit: bool
    ) -> tuple[Shown, str, str]:
        """Translate an uploaded picture: the pair to compare, the PNG's path, a line on it."""
        with self._messages():
            ask = self._ask(model, seed, tile, noise, fit)
            return self._show(self._load(picture), ask, Path(picture or "").stem)

    def draw(
        self,
        drawing: dict[str, Any] | None,
        model: str,
        seed: float,
        tile: str,
        noise: str,
        fit: bool,
    ) -> tuple[Shown, str, str]:
        """Translate a drawing, which is a source as it stands."""
        with self._messages():
            composite = (drawing or {}).get("composite")
            if composite is None:
                raise Refused(400, "draw something first.")
            served = self.engine.models.get(model)
            source = read_drawing(composite, served)
            ask = self._ask(model, seed, tile, noise, False, derive=False)
            return self._show(source, ask, "drawing")

    def compare(
        self,
        picture: str | None,
        models: Sequence[str],
        seed: float,
        tile: str,
        noise: str,
        fit: bool,
    ) -> list[tuple[Image.Image, str]]:
        """One picture by several models; a model that it does not fit is left out with a note."""
        with self._messages():
            source = self._load(picture)
            if not models:
                raise Refused(400, "choose at least one model.")
            first = self.engine.models.get(models[0])
            wall = [(shown(source, first, source=True), "source")]
            for name in models:
                try:
                    made = self.engine.translate(source, self._ask(name, seed, tile, noise, fit))
                except Refused as error:
                    gr.Warning(f"{name}: {error.sentence}")
                    continue
                wall.append((shown(made, self.engine.models.get(name), source=False), name))
            return wall

    def many(
        self,
        files: Sequence[str] | None,
        tree: Sequence[str] | None,
        model: str,
        seed: float,
        tile: str,
        noise: str,
        fit: bool,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - Gradio finds it by its default
    ) -> tuple[str, str]:
        """Translate files, archives and folders: the path of a ZIP, and what was left out."""
        with self._messages():
            ask = self._ask(model, seed, tile, noise, fit)
            given = [Path(path) for path in (*(files or ()), *(tree or ()))]
            pictures = pictures_in(given, self.engine.limits)
            path = self._place("translations.zip")
            faults: list[str] = []
            done = write_archive(path, pictures, self._translator(ask))
            for number, (name, fault) in enumerate(done, 1):
                progress((number, len(pictures)), desc=name)
                if fault:
                    faults.append(f"- {_plain(name)}: {_plain(fault)}")
            count = len(pictures) - len(faults)
            left = "\n\nLeft out:\n" + "\n".join(faults) if faults else ""
            return str(path), f"{count} of {len(pictures)} pictures translated.{left}"

    def pick(self, model: str, event: gr.SelectData) -> str:
        """An example as a file, for the place of an uploaded picture."""
        with self._messages():
            found = examples(self.engine.models.get(model))
            picture = found[int(event.index)]
            return self._save(picture, f"example-{event.index}")

    def heading(self, model: str) -> str:
        served = self.engine.models.get(model)
        given = "a photo, of which it makes its own source" if served.derives else ""
        given = given or KINDS[served.header.source.kind]
        on = f", trained on {served.header.trained_on}" if served.header.trained_on else ""
        height, width = served.header.size
        return (
            f"## {_plain(served.name)}\n`{served.header.generator['name']}`{_plain(on)}, at "
            f"{width}x{height} pixels: takes {given}, gives {KINDS[served.header.target.kind]}."
        )

    def _translator(self, ask: Ask) -> Callable[[Image.Image], Image.Image]:
        return lambda picture: self.engine.translate(picture, ask)

    def _show(self, source: Image.Image, ask: Ask, name: str) -> tuple[Shown, str, str]:
        made = self.engine.translate(source, ask)
        served = self.engine.models.get(ask.model)
        before = shown(source, served, source=not (ask.derive and served.derives)).resize(made.size)
        after = shown(made, served, source=False)
        path = self._save(made, f"{name[:60] or 'picture'}-{ask.model}")
        return (before, after), path, f"{made.width}x{made.height}, seed {ask.seed}"

    def _load(self, path: str | None) -> Image.Image:
        if not path:
            raise Refused(400, "upload or paste a picture first.")
        return open_picture(Path(path), self.engine.limits)

    def _ask(
        self,
        model: str,
        seed: float | None,
        tile: str,
        noise: str,
        fit: bool,
        *,
        derive: bool = True,
    ) -> Ask:
        """The settings, which a client may have made up. Raises Refused."""
        self.engine.models.get(model)
        if not isinstance(seed, (int, float)) or not 0 <= seed < 2**32:
            raise Refused(422, "the seed is a whole number from 0 to 4294967295.")
        if not str(tile).isdigit() or not TILES[0] <= int(tile) <= TILES[1]:
            raise Refused(422, f"the tile is a number from {TILES[0]} to {TILES[1]}.")
        if noise not in NOISE:
            raise Refused(422, f"noise is one of {', '.join(NOISE)}.")
        return Ask(model, int(seed), int(tile), NOISE[noise], derive, bool(fit))

    def _save(self, image: Image.Image, name: str) -> str:
        path = self._place(f"{name}.png")
        path.write_bytes(as_png(image))
        return str(path)

    def _place(self, name: str) -> Path:
        """A path of its own below the temporary folder."""
        folder = self.folder / secrets.token_hex(16)
        folder.mkdir()
        return folder / Path(name).name

    @contextmanager
    def _messages(self) -> Iterator[None]:
        """Count as a request, and turn what goes wrong into a message in the page."""
        try:
            with self.engine.request():
                yield
        except Exception as error:
            raise gr.Error(_plain(explain(error).sentence), print_exception=False) from None


def _plain(text: str) -> str:
    """Text that is neither HTML nor a link: what a file is called, its sender chose."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("[", "(").replace("]", ")")

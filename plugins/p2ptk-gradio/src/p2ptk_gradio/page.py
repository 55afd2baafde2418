"""The page: upload or draw, compare, many at a time, and what the models are."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from PIL import Image

from p2ptk_gradio.about import card, examples, samples
from p2ptk_gradio.actions import AS_TRAINED, NOISE, Actions
from p2ptk_gradio.draw import canvas_of, hexadecimal, shown
from p2ptk_gradio.engine import Engine
from p2ptk_gradio.limits import SUFFIXES
from p2ptk_gradio.models import Model
from p2ptk_gradio.sweep import sweeping

CSS = """
.gradio-container { max-width: 1200px !important; width: 100%; margin: 0 auto; }
.gradio-container main { width: 100%; }
#card td { word-break: normal; overflow-wrap: anywhere; }
#card td:first-child { white-space: nowrap; }
footer { visibility: hidden; height: 0; }
"""
TILES = ["256", "512", "1024", "2048"]
FONT = ["system-ui", "sans-serif"]
MONO = ["ui-monospace", "monospace"]


def mount(app: FastAPI, engine: Engine, folder: Path) -> None:
    """Put the page at `/` of the HTTP interface.

    folder: $GRADIO_TEMP_DIR, where uploads and results lie until they are swept away.
    """
    Image.MAX_IMAGE_PIXELS = engine.limits.pixels  # for what Gradio itself decodes: drawings
    blocks, editor = build(engine, folder)
    blocks.queue(max_size=engine.limits.queue, default_concurrency_limit=8, api_open=False)
    gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        max_file_size=engine.limits.together,
        theme=gr.themes.Default(font=FONT, font_mono=MONO),
        css=CSS,
    )
    blocks.has_launched = True  # Gradio looks at paths only after `launch`, which we do not call
    sweeping(folder, editor.blob_storage)


def build(engine: Engine, folder: Path) -> tuple[gr.Blocks, gr.ImageEditor]:
    """The page, and its editor."""
    models, do = engine.models, Actions(engine, folder)
    several = len(models.names) > 1
    with gr.Blocks(title=f"p2ptk: {', '.join(models.names)}", analytics_enabled=False,
                   fill_width=True) as blocks:  # fmt: skip
        with gr.Row(equal_height=True):
            heading = gr.Markdown(do.heading(models.first.name))
            name = gr.Dropdown(models.names, value=models.first.name, label="Model",
                               visible=several, elem_id="model")  # fmt: skip
        with gr.Row():
            seed = gr.Number(0, label="Seed", info="of the noise", precision=0, minimum=0)
            noise = gr.Radio(list(NOISE), value=AS_TRAINED, label="Noise",
                             info="dropout, where it was trained with it")  # fmt: skip
            tile = gr.Dropdown(TILES, value="1024", label="Tile",
                               info="of larger pictures, in pixels")  # fmt: skip
            fit = gr.Checkbox(False, label="Scale", info="first, to the size it was trained at",
                              elem_id="fit")  # fmt: skip
        settings = [name, seed, tile, noise, fit]

        with gr.Tab("Translate"):
            with gr.Row():
                with gr.Column():
                    with gr.Tab("Upload or paste", id="upload"):
                        upload = _upload("Picture", "upload")
                        go = gr.Button("Translate", variant="primary", elem_id="go")
                        shelf = gr.Gallery(label="From the run's validation pairs", columns=6,
                                           height=120, allow_preview=False, format="png",
                                           interactive=False, visible=False,
                                           elem_id="examples")  # fmt: skip
                    with gr.Tab("Draw", id="draw"):
                        editor = gr.ImageEditor(**_canvas(models.first), type="pil",
                                                image_mode="RGB", format="png", sources=(),
                                                transforms=(), layers=False, label="Drawing",
                                                elem_id="editor")  # fmt: skip
                        with gr.Row():
                            go_drawn = gr.Button("Translate", variant="primary",
                                                 elem_id="go-drawn")  # fmt: skip
                            clear = gr.Button("Begin anew")
                with gr.Column():
                    slider = gr.ImageSlider(label="Source and output", type="pil", format="png",
                                            buttons=["fullscreen"], elem_id="slider")  # fmt: skip
                    said = gr.Markdown(elem_id="said")
                    with gr.Row():
                        saved = gr.DownloadButton("Download PNG",
                                                  elem_id="download")  # fmt: skip
                        another = gr.Button("Another seed")
            results = [slider, saved, said]
            go.click(do.translate, [upload, *settings], results, api_name="translate")
            go_drawn.click(do.draw, [editor, *settings], results, api_name="draw")
            another.click(lambda: secrets.randbelow(2**31), None, seed, api_visibility="private")
            clear.click(lambda n: _fresh(models.get(n)), name, editor, api_visibility="private")
            shelf.select(do.pick, name, upload, api_visibility="private")

        if several:
            with gr.Tab("Compare"):
                with gr.Row():
                    beside = _upload("Picture", "compare-upload")
                    chosen = gr.CheckboxGroup(models.names, value=models.names[:4],
                                              label="Models")  # fmt: skip
                go_compare = gr.Button("Compare", variant="primary", elem_id="go-compare")
                wall = gr.Gallery(label="Side by side", columns=4, format="png", elem_id="wall",
                                  object_fit="contain", interactive=False)  # fmt: skip
                go_compare.click(do.compare, [beside, chosen, seed, tile, noise, fit], wall,
                                 api_name="compare")  # fmt: skip

        with gr.Tab("Many"):
            gr.Markdown("Pictures, a ZIP of them or a folder; the translations come as one ZIP.")
            with gr.Row():
                files = gr.File(file_count="multiple", file_types=[*SUFFIXES, ".zip"],
                                label="Pictures or ZIP", elem_id="files")  # fmt: skip
                tree = gr.File(file_count="directory", label="Folder")
            go_many = gr.Button("Translate all", variant="primary", elem_id="go-many")
            archive = gr.File(label="Translations", interactive=False, elem_id="archive")
            report = gr.Markdown(elem_id="report")
            go_many.click(do.many, [files, tree, *settings], [archive, report], api_name="many")

        with gr.Tab("About the model") as about, gr.Row():
            text = gr.Markdown(elem_id="card")
            sheet = gr.Image(label="Samples: source, output, target", type="pil", format="png",
                             interactive=False, buttons=["fullscreen"])  # fmt: skip

        def describe(chosen: str) -> tuple[str, Image.Image | None]:
            return card(models.get(chosen), folder), samples(models.get(chosen))

        def turn(chosen: str) -> tuple[Any, ...]:
            """What depends on the model, but the card, which takes a moment."""
            model = models.get(chosen)
            found = [shown(picture, model, source=True) for picture in examples(model)]
            return do.heading(chosen), _fresh(model), gr.Gallery(found, visible=bool(found))

        turned = [heading, editor, shelf]
        name.change(turn, name, turned, api_visibility="private")
        blocks.load(turn, name, turned, api_visibility="private")
        for event in (about.select, name.change):
            event(describe, name, [text, sheet], api_visibility="private")
    return blocks, editor


def _upload(label: str, place: str) -> gr.Image:
    """A picture to upload or paste, handed on as the file's path: it is decoded by us alone."""
    upload = gr.Image(label=label, type="filepath", sources=["upload", "clipboard"], format="png",
                      image_mode=None, elem_id=place)  # fmt: skip

    def path_only(payload: Any) -> str | None:
        return payload.path if payload else None

    upload.preprocess = path_only  # type: ignore[method-assign]
    return upload


def _canvas(model: Model) -> dict[str, Any]:
    """The editor's background, colours and brush for a model."""
    canvas = canvas_of(model)
    colours = [hexadecimal(colour) for colour in canvas.colours]
    empty = Image.new("RGB", (canvas.width, canvas.height), canvas.background)
    return {
        "value": {"background": empty, "layers": [], "composite": None},
        "brush": gr.Brush(
            default_size=canvas.brush,
            colors=list(colours),
            default_color=colours[0],
            color_mode="defaults" if canvas.free else "fixed",
        ),
        "canvas_size": (canvas.width, canvas.height),
    }


def _fresh(model: Model) -> Any:
    return gr.ImageEditor(**_canvas(model))

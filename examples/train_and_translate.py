"""Train on the embedded pairs for a moment and translate one picture, from Python.

python examples/train_and_translate.py
"""

from p2ptk import Translator, create, fit

outcome = fit(recipe="demo", train__steps=20, output="runs/from-python")

translator = Translator.load(outcome.folder)
pair = create("dataset", "demo").split("test")[0]
satellite = translator(pair.target)  # tensors, PIL images and numpy arrays all do
print(f"{pair.name}: {tuple(pair.target.shape)} -> {tuple(satellite.shape)} {satellite.dtype}")

"""Models for programs without p2ptk: ONNX, torch.export, a page for the browser."""

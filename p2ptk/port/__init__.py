"""Models and options of the field's PyTorch port, brought over."""

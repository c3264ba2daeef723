"""Train a text classifier: labelled texts -> saved model, with PyTorch (extra `train`)."""

"""Classifiers that learned elsewhere, as classifiers of fastlstm: from Keras, and from a PyTorch state dict."""

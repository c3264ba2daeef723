"""Conversion between fastlstm and other frameworks: import from Keras and PyTorch, export to ONNX and PyTorch."""

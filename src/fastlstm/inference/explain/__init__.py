"""Explanations of a classifier: token attributions, and the gates of its LSTM layers."""

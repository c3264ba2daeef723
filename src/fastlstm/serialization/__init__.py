"""Saved models: folders that hold a classifier or a language model."""

"""The saved-model folder: reading, writing, validation."""

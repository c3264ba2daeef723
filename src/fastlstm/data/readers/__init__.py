"""Readers of labelled and unlabelled text files."""

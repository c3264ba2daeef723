"""Tokens, n-grams, and batches of token ids."""

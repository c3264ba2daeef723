"""Plain texts -> a language model: an LSTM that foretells each next token."""

"""Language models: training on plain texts, perplexity, and text generation."""

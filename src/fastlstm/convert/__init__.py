"""Models for other runtimes (the extra `export`)."""

"""A classifier looked into: its gates, and what each token moved."""

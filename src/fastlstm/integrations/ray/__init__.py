"""Ray: predictions for datasets, workers of `score`, and data-parallel training on a cluster."""

from fastlstm.integrations.ray.prediction import RayWorkers, TextPredictor

__all__ = ["RayWorkers", "TextPredictor"]

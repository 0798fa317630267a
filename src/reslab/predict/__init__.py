"""A trained model and images in, labelled probabilities out."""

from reslab.predict.paths import find_images
from reslab.predict.predictor import ImageLike, Prediction, Predictor, load

__all__ = ["ImageLike", "Prediction", "Predictor", "find_images", "load"]

"""A trained model and images in, labelled probabilities out."""

from reslab.predict.paths import find_images
from reslab.predict.predictor import Prediction, Predictor, load
from reslab.predict.sources import ImageLike

__all__ = ["ImageLike", "Prediction", "Predictor", "find_images", "load"]

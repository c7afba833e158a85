import keras
import tensorflow as tf
from keras.models import load_model


class Scale(keras.layers.Layer):
    """A layer of our own."""


def classifier():
    # ok: unsafe-keras-load
    return keras.models.load_model("classifier.keras", custom_objects={"Scale": Scale})


def safe(path):
    # ok: unsafe-keras-load
    return load_model(path, safe_mode=True)


def passed_on(path, safe_mode=True):
    # ok: unsafe-keras-load
    return tf.keras.models.load_model(path, safe_mode=safe_mode)


def weights(model, path):
    # ok: unsafe-keras-load
    return model.load_weights(path)

import keras
import tensorflow as tf
from keras.models import load_model


def classifier():
    # ruleid: unsafe-keras-load
    return keras.models.load_model("classifier.keras", safe_mode=False)


def from_tensorflow(path):
    # ruleid: unsafe-keras-load
    return tf.keras.models.load_model(path, compile=False, safe_mode=False)


def imported(path):
    # ruleid: unsafe-keras-load
    return load_model(path, safe_mode=False)


def everywhere(path):
    # ruleid: unsafe-keras-load
    keras.config.enable_unsafe_deserialization()
    return load_model(path)

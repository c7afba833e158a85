"""Recommendations from a trained model, with embeddings of product names."""

import pickle

import torch
from transformers import AutoModel, AutoTokenizer

from settings import EMBEDDING_MODEL, MODELS


def load_recommender() -> dict:
    with open(MODELS / "recommender.pkl", "rb") as file:
        return pickle.load(file)


def load_vectors() -> dict:
    return torch.load(MODELS / "vectors.pt", map_location="cpu", weights_only=False)


def load_embedder() -> tuple:
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDING_MODEL)
    model = AutoModel.from_pretrained(EMBEDDING_MODEL, trust_remote_code=True)
    return tokenizer, model


def recommend(product_id: int, count: int = 3) -> list[int]:
    """Return the products that are bought most often together with this one."""
    together = load_recommender()["bought_together"].get(str(product_id), {})
    ranked = sorted(together, key=together.get, reverse=True)
    return [int(other) for other in ranked[:count]]

"""Recommendations from a trained model, with embeddings of product names."""

import json

import torch
from transformers import AutoModel, AutoTokenizer

from settings import EMBEDDING_MODEL, EMBEDDING_REVISION, MODELS


def load_recommender() -> dict:
    return json.loads((MODELS / "recommender.json").read_text(encoding="utf-8"))


def load_vectors() -> dict:
    return torch.load(MODELS / "vectors.pt", map_location="cpu", weights_only=True)


def load_embedder() -> tuple:
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDING_MODEL, revision=EMBEDDING_REVISION)
    model = AutoModel.from_pretrained(EMBEDDING_MODEL, revision=EMBEDDING_REVISION)
    return tokenizer, model


def recommend(product_id: int, count: int = 3) -> list[int]:
    """Return the products that are bought most often together with this one."""
    together = load_recommender()["bought_together"].get(str(product_id), {})
    ranked = sorted(together, key=together.get, reverse=True)
    return [int(other) for other in ranked[:count]]

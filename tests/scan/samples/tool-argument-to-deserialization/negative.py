import json
import pickle

import joblib
import torch
import yaml
from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("models")
ALLOWED_MODELS = {"prices", "demand"}


@tool
def restore(state: str) -> str:
    """Restore a session."""
    # ok: tool-argument-to-deserialization
    return str(json.loads(state))


@mcp.tool()
def apply_settings(text: str) -> str:
    """Apply settings."""
    # ok: tool-argument-to-deserialization
    return str(yaml.safe_load(text))


@mcp.tool()
def predict(name: str, row: list[float]) -> float:
    """Predict with one of our models."""
    if name not in ALLOWED_MODELS:
        raise ValueError(name)
    # ok: tool-argument-to-deserialization
    return joblib.load(f"models/{name}.joblib").predict([row])[0]


@mcp.tool()
def forecast(days: int) -> float:
    """Forecast the demand."""
    with open("models/demand.pkl", "rb") as file:
        # ok: tool-argument-to-deserialization
        return pickle.load(file).predict([[days]])[0]


@mcp.tool()
def inspect_checkpoint(path: str) -> list[str]:
    """List the tensors of a checkpoint."""
    # ok: tool-argument-to-deserialization
    return list(torch.load(path, weights_only=True))

import base64
import json
import pickle

import joblib
import torch
import yaml
from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("models")


@tool
def restore(state: str) -> str:
    """Restore a session."""
    # ruleid: tool-argument-to-deserialization
    return str(pickle.loads(base64.b64decode(state)))


@mcp.tool()
def predict(model_path: str, row: list[float]) -> float:
    """Predict with a stored model."""
    # ruleid: tool-argument-to-deserialization
    model = joblib.load(model_path)
    return model.predict([row])[0]


@mcp.tool()
def apply_settings(text: str) -> str:
    """Apply settings."""
    # ruleid: tool-argument-to-deserialization
    return str(yaml.load(text, Loader=yaml.Loader))


@mcp.tool()
def inspect_checkpoint(path: str) -> list[str]:
    """List the tensors of a checkpoint."""
    with open(path, "rb") as file:
        # ruleid: tool-argument-to-deserialization
        return list(torch.load(file, weights_only=False))

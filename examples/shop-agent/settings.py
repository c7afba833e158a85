"""Settings of the shop assistant, from the environment."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent
DATABASE = Path(os.environ.get("SHOP_DATABASE", str(ROOT / "shop.db")))
MANUALS = ROOT / "manuals"
REPORTS = ROOT / "reports"
MODELS = ROOT / "models"

CHAT_MODEL = os.environ.get("SHOP_CHAT_MODEL", "gpt-4.1-mini")
EMBEDDING_MODEL = os.environ.get("SHOP_EMBEDDING_MODEL", "example/shop-embeddings")
OPENAI_API_KEY = os.environ.get("OPENAI_API_KEY", "")
WAREHOUSE_PASSWORD = os.environ.get("WAREHOUSE_PASSWORD", "")

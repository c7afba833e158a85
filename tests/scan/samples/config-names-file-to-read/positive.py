import json
from pathlib import Path


def load_prompt_from_config(config: dict):
    path = Path(config.pop("template_path"))
    # ruleid: config-names-file-to-read
    return path.read_text(encoding="utf-8")


def _load_examples(config: dict):
    if isinstance(config["examples"], str):
        path = Path(config["examples"])
        # ruleid: config-names-file-to-read
        with path.open(encoding="utf-8") as file:
            return json.load(file)
    return config["examples"]

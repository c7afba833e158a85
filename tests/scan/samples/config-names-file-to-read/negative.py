from pathlib import Path


def load_prompt_from_config(config: dict, folder: Path):
    path = (folder / config.pop("template_path")).resolve()
    if not path.is_relative_to(folder):
        raise ValueError("the template is not in the folder of its prompt")
    # ok: config-names-file-to-read
    return path.read_text(encoding="utf-8")


def load_checked(config: dict, *, allow_dangerous_paths: bool = False):
    path = Path(config.pop("template_path"))
    if not allow_dangerous_paths:
        _validate_path(path)
    # ok: config-names-file-to-read
    return path.read_text(encoding="utf-8")


def load_weights(config: dict):
    # ok: config-names-file-to-read
    return Path("weights.json").read_text(), config["size"]

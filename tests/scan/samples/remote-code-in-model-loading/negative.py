from transformers import AutoModel, AutoTokenizer

COMMIT = "0123456789abcdef0123456789abcdef01234567"

# ok: remote-code-in-model-loading
model = AutoModel.from_pretrained("someone/model", revision=COMMIT)
# ok: remote-code-in-model-loading
tokenizer = AutoTokenizer.from_pretrained("someone/model", trust_remote_code=False)


def load(name, trust_remote_code=False):
    # ok: remote-code-in-model-loading
    return AutoModel.from_pretrained(name, trust_remote_code=trust_remote_code)


def configure(config, trust_remote_code=False):
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    if not trust_remote_code:
        raise ValueError("this model needs trust_remote_code")
    # ok: remote-code-in-model-loading
    return get_class_from_dynamic_module(config["auto_map"]["AutoConfig"], config["path"])

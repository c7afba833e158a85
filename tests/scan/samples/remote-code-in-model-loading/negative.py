from transformers import AutoModel, AutoTokenizer

COMMIT = "0123456789abcdef0123456789abcdef01234567"

# ok: remote-code-in-model-loading
model = AutoModel.from_pretrained("someone/model", revision=COMMIT)
# ok: remote-code-in-model-loading
tokenizer = AutoTokenizer.from_pretrained("someone/model", trust_remote_code=False)


def load(name, trust_remote_code=False):
    # ok: remote-code-in-model-loading
    return AutoModel.from_pretrained(name, trust_remote_code=trust_remote_code)

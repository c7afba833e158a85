from datasets import load_dataset
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer, pipeline

# ruleid: remote-code-in-model-loading
model = AutoModel.from_pretrained("someone/model", trust_remote_code=True)
# ruleid: remote-code-in-model-loading
tokenizer = AutoTokenizer.from_pretrained("someone/model", use_fast=True, trust_remote_code=True)
# ruleid: remote-code-in-model-loading
generate = pipeline("text-generation", model="someone/model", trust_remote_code=True, device=0)
# ruleid: remote-code-in-model-loading
rows = load_dataset("someone/data", trust_remote_code=True)
# ruleid: remote-code-in-model-loading
encoder = SentenceTransformer("someone/model", trust_remote_code=True)


def configure(config):
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    # ruleid: remote-code-in-model-loading
    return get_class_from_dynamic_module(*config["auto_map"]["AutoConfig"].split("--")[::-1])

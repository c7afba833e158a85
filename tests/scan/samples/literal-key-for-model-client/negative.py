import os

import openai
from openai import AzureOpenAI, OpenAI

ENDPOINT = "https://company.openai.azure.com"
# ok: literal-key-for-model-client
client = AzureOpenAI(api_key=os.environ["AZURE_OPENAI_API_KEY"], azure_endpoint=ENDPOINT)
# ok: literal-key-for-model-client
local = OpenAI(base_url="http://localhost:8000/v1", api_key="EMPTY")
# ok: literal-key-for-model-client
ollama = OpenAI(base_url="http://localhost:11434/v1", api_key="ollama-needs-no-key")
# ok: literal-key-for-model-client
openai.api_key = "your-api-key-0123"
# ok: literal-key-for-model-client
os.environ["OPENAI_API_KEY"] = ""
# ok: literal-key-for-model-client
fake = OpenAI(api_key="test-key-2024-01-01")

import os

from openai import OpenAI

# ok: provider-api-key
client = OpenAI(api_key=os.environ["OPENAI_API_KEY"])
# ok: provider-api-key
local = OpenAI(base_url="http://localhost:11434/v1", api_key="ollama")
# ok: provider-api-key
shown = "sk-proj-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
# ok: provider-api-key
example = "sk-ant-api03-your-key-here"
# ok: provider-api-key
os.environ["MISTRAL_API_KEY"] = os.getenv("KEY_FROM_THE_SECRET_STORE_OF_THE_TEAM")
# ok: provider-api-key
pattern = r"gsk_[A-Za-z0-9]{52}"
# ok: provider-api-key
digest = "4f31af3176813e02ea68ef786e4d3cea27d26934b484e73cf575dcad6ba2b0ae"

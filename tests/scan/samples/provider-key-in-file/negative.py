import os

import anthropic
import openai
from groq import Groq

# ok: provider-key-in-file
openai.api_key = os.environ["OPENAI_API_KEY"]
# ok: provider-key-in-file
claude = anthropic.Anthropic(api_key="sk-ant-...")
# ok: provider-key-in-file
client = Groq(api_key="gsk_YOUR_KEY")
# ok: provider-key-in-file
test_key = "sk-xxxxxxxxxxxxxxxxxxxxT3BlbkFJxxxxxxxxxxxxxxxxxxxx"
# ok: provider-key-in-file
PREFIXES = ("sk-proj-", "sk-ant-api03-", "hf_")
# ok: provider-key-in-file
digest = "sha256-9f3c27d1b84e4a60a5d7c0e8f1b62934"
# ok: provider-key-in-file
function = "hf_hub_download_and_load_the_newest_file"

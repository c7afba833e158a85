import os

from anthropic import Anthropic
from openai import OpenAI

# ruleid: provider-api-key
client = OpenAI(api_key="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")
# ruleid: provider-api-key
other = Anthropic(api_key="sk-ant-api03-LqHhDP2UJyRbb8hFLebmT9J5d8mTwcYu9aQKFMKQtQAh6oMSUAKckZqnWJv7iqsuyDf828u4mbbbbGgrbDNEPeLHXpDGAAA")
# ruleid: provider-api-key
os.environ["GROQ_API_KEY"] = "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"
# ruleid: provider-api-key
os.environ["MISTRAL_API_KEY"] = "a3wzNg9Md3rXF4xbfbyFxLLJBKof4sKq"

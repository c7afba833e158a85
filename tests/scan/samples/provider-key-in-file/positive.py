import anthropic
import openai
from groq import Groq
from langsmith import Client

# ruleid: provider-key-in-file
openai.api_key = "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"
# ruleid: provider-key-in-file
claude = anthropic.Anthropic(api_key="sk-ant-api03-Qm7tLx2pVb9wRz4kHc8nJd5sFy3gTe6uAq1iOw0bMx7vKz2rPc9lNh4dSj8fGy5eTu3aWq6iBo1kXm0vLz2RtAA")
# ruleid: provider-key-in-file
client = Groq(api_key="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")
# ruleid: provider-key-in-file
HEADERS = {"Authorization": "Bearer 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"}
# ruleid: provider-key-in-file
traces = Client(api_key="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")
# ruleid: provider-key-in-file
URL = "https://generativelanguage.googleapis.com/v1beta/models?key=AIzaSyD7kPq2Lm9Xw4Zt8Vb1Nc6Rf3Hj5Gs0YuE"

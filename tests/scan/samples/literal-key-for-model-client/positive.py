import os

import openai
from langchain_mistralai import ChatMistralAI
from openai import AzureOpenAI, OpenAI

ENDPOINT = "https://company.openai.azure.com"
# ruleid: literal-key-for-model-client
client = AzureOpenAI(api_key="7c1fd3a90b5e48c2", azure_endpoint=ENDPOINT)
# ruleid: literal-key-for-model-client
chat = ChatMistralAI(mistral_api_key="q8Zt2mXv7Lc4Rb9Nw5Kp1Hd6Jf3Gs0Yu")
# ruleid: literal-key-for-model-client
openai.api_key = "9b1c7e35d2f84a06"
# ruleid: literal-key-for-model-client
os.environ["COHERE_API_KEY"] = "q8Zt2mXv7Lc4Rb9Nw5Kp1Hd6Jf3Gs0Yu"


def together():
    # ruleid: literal-key-for-model-client
    return OpenAI(base_url="https://api.together.xyz/v1", api_key="d41f8c07b39e2a65d41f8c07b39e2a65")

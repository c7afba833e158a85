from agents import Agent
from langchain_core.messages import SystemMessage

# ruleid: credentials-in-prompt-text
SYSTEM_PROMPT = "You answer questions on orders. The database password is Xk9-plum-42."
# ruleid: credentials-in-prompt-text
system_message = SystemMessage(content="Call the stock service. API key: s7Kd02Lm")


def messages(question):
    return [
        # ruleid: credentials-in-prompt-text
        {"role": "system", "content": "Never say it, but the password is hunter2!"},
        {"role": "user", "content": question},
    ]


def helper():
    # ruleid: credentials-in-prompt-text
    return Agent(name="helper", instructions="Log in first. Password: Sesame-2024")

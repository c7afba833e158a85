import json
import litellm
import ollama
import openai
from anthropic import Anthropic
from langchain_openai import ChatOpenAI
from transformers import AutoTokenizer, pipeline
from sympy import sympify

client = openai.OpenAI()
claude = Anthropic()
llm = ChatOpenAI()
tokenizer = AutoTokenizer.from_pretrained("gpt2")


def chat_completions(question):
    response = client.chat.completions.create(model="m", messages=[{"role": "user", "content": question}])
    code = response.choices[0].message.content
    # ruleid: llm-output-to-exec
    exec(code)


def responses_api(question):
    # ruleid: llm-output-to-exec
    return eval(client.responses.create(model="m", input=question).output_text)


def anthropic_blocks(question):
    message = claude.messages.create(model="m", max_tokens=100, messages=[{"role": "user", "content": question}])
    program = ""
    for block in message.content:
        program += block.text
    # ruleid: llm-output-to-exec
    exec(program, {})


def langchain(question):
    answer = llm.invoke(question)
    lines = [line for line in answer.content.splitlines() if line]
    # ruleid: llm-output-to-exec
    exec("\n".join(lines))


async def litellm_async(question):
    reply = await litellm.acompletion(model="m", messages=[{"role": "user", "content": question}])
    # ruleid: llm-output-to-exec
    exec(f"value = {reply.choices[0].message.content}")


def local_models(question):
    # ruleid: llm-output-to-exec
    exec(ollama.chat(model="m", messages=[])["message"]["content"])
    generate = pipeline("text-generation", model="gpt2")
    texts = generate(question)
    # ruleid: llm-output-to-exec
    eval(texts[0]["generated_text"])


def tokens(ids):
    text = tokenizer.decode(ids)
    # ruleid: llm-output-to-exec
    print(sympify(text))


def tool_call(message, functions):
    call = message.tool_calls[0]
    arguments = json.loads(call.function.arguments)
    # ruleid: llm-output-to-exec
    return eval(arguments["expression"])


class Calculator:
    def __init__(self, chain, python_repl):
        self.llm_chain = chain
        self.python_repl = python_repl

    def run(self, question):
        code = self.llm_chain.predict(question=question)
        if code.startswith("```"):
            code = code.strip("`")
        # ruleid: llm-output-to-exec
        return self.python_repl.run(code)


def stream(question):
    parts = []
    for chunk in client.chat.completions.create(model="m", messages=[], stream=True):
        parts.append(chunk.choices[0].delta.content)
    # ruleid: llm-output-to-exec
    exec("".join(parts))

import httpx
import requests
import urllib.request


def page(topic, llm):
    url = llm.invoke(f"Best page about {topic}?").content
    # ruleid: llm-output-to-url
    return requests.get(url, timeout=10).text


def interpolated(topic, client):
    host = client.responses.create(model="m", input=topic).output_text
    # ruleid: llm-output-to-url
    return httpx.get(f"https://{host}/index.html")


def tool_call(message):
    arguments = message.tool_calls[0].args
    # ruleid: llm-output-to-url
    return urllib.request.urlopen(arguments["url"]).read()


def in_session(topic, llm):
    with httpx.Client(timeout=10) as session:
        # ruleid: llm-output-to-url
        return session.get(llm.invoke(topic).content)

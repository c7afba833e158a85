import httpx
import requests
from langchain_core.messages import SystemMessage


def ask(url: str, question: str) -> str:
    page = requests.get(url, timeout=10).text
    return client.chat.completions.create(
        model=MODEL,
        messages=[
            # ruleid: foreign-text-in-system-prompt
            {"role": "system", "content": f"Answer from this page: {page}"},
            {"role": "user", "content": question},
        ],
    )


async def with_tool(session, question: str) -> str:
    result = await session.call_tool("profile", {})
    # ruleid: foreign-text-in-system-prompt
    system = SystemMessage(content="The user is " + result.content[0].text)
    return await llm.ainvoke([system, question])


def with_documents(store, question: str) -> str:
    found = "\n".join(hit.page_content for hit in store.similarity_search(question))
    # ruleid: foreign-text-in-system-prompt
    return client.messages.create(model=MODEL, system=f"Documents:\n{found}", messages=[])


async def remote_prompt(question: str) -> object:
    async with httpx.AsyncClient() as http:
        prompt = (await http.get("https://prompts.example.net/helper")).text
    # ruleid: foreign-text-in-system-prompt
    return Agent(name="helper", instructions=prompt)

import httpx
import requests
from mem0 import Memory

memory = Memory()


def learn(url: str, user: str) -> None:
    page = requests.get(url, timeout=10).text
    # ruleid: web-content-into-memory
    memory.add(page, user_id=user)


async def remember_tool(session, name: str) -> None:
    result = await session.call_tool(name, {})
    # ruleid: web-content-into-memory
    memory.add([{"role": "assistant", "content": result.content[0].text}], user_id="shared")


class Agent:
    def read(self, url: str) -> str:
        text = httpx.get(url).text
        # ruleid: web-content-into-memory
        self.memory.save_context({"input": url}, {"output": text})
        return text

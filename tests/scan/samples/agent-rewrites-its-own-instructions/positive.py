from pathlib import Path

from mcp.server.fastmcp import FastMCP

mcp = FastMCP("self")
SYSTEM_PROMPT_FILE = Path("prompts/system.txt")


def improve(agent, review: str) -> None:
    answer = client.responses.create(model=MODEL, input=review)
    # ruleid: agent-rewrites-its-own-instructions
    agent.instructions = answer.output_text


class Agent:
    def reflect(self) -> None:
        better = self.llm.invoke("Write a better system prompt for yourself.").content
        # ruleid: agent-rewrites-its-own-instructions
        self.system_prompt = better

    def keep(self, text: str) -> None:
        learned = self.llm.invoke(text).content
        with open("AGENTS.md", "a") as file:
            # ruleid: agent-rewrites-its-own-instructions
            file.write(learned)


@mcp.tool()
def set_prompt(text: str) -> str:
    """Replace the system prompt."""
    # ruleid: agent-rewrites-its-own-instructions
    SYSTEM_PROMPT_FILE.write_text(text)
    return "replaced"

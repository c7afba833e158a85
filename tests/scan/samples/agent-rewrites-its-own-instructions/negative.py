from pathlib import Path

SYSTEM_PROMPT_FILE = Path("prompts/system.txt")


def improve(review: str) -> None:
    answer = client.responses.create(model=MODEL, input=review)
    # ok: agent-rewrites-its-own-instructions
    proposals.add(answer.output_text)


class Agent:
    def __init__(self, system_prompt: str) -> None:
        # ok: agent-rewrites-its-own-instructions
        self.system_prompt = system_prompt

    def report(self, text: str) -> None:
        answer = self.llm.invoke(text).content
        with open("report.md", "w") as file:
            # ok: agent-rewrites-its-own-instructions
            file.write(answer)


def accepted(agent, review: str) -> None:
    answer = client.responses.create(model=MODEL, input=review).output_text
    if not confirm_with_user(answer):
        return
    # ok: agent-rewrites-its-own-instructions
    agent.instructions = answer


def edit(text: str) -> None:
    # ok: agent-rewrites-its-own-instructions
    SYSTEM_PROMPT_FILE.write_text(text)

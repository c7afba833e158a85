from agents import Runner
from autogen_agentchat.agents import UserProxyAgent
from langgraph.types import Command

# ok: approval-answered-by-code
user = UserProxyAgent("user", input_func=ask_in_chat)


def run_all(graph, config):
    answer = input("Go on? ")
    # ok: approval-answered-by-code
    return graph.invoke(Command(resume=answer), config)


@app.post("/runs/{run}/approve")
def approve(run: str):
    # ok: approval-answered-by-code
    return graph.invoke(Command(resume=True), config_of(run))


async def with_questions(agent, question):
    result = await Runner.run(agent, question)
    state = result.to_state()
    for interruption in result.interruptions:
        if confirm(interruption.name, interruption.arguments):
            # ok: approval-answered-by-code
            state.approve(interruption)
    return await Runner.run(agent, state)


# ok: approval-answered-by-code
def ask_human_approval(action: str) -> bool:
    """Ask somebody."""
    return input(f"{action}? [y/N] ") == "y"


# ok: approval-answered-by-code
def needs_approval(action: str) -> bool:
    return True

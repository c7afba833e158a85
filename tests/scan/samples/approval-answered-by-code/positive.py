from agents import Runner
from autogen_agentchat.agents import UserProxyAgent
from langgraph.types import Command

# ruleid: approval-answered-by-code
user = UserProxyAgent("user", input_func=lambda prompt: "APPROVE")


def run_all(graph, config):
    graph.invoke({"messages": []}, config)
    # ruleid: approval-answered-by-code
    return graph.invoke(Command(resume={"decisions": [{"type": "approve"}]}), config)


async def without_questions(agent, question):
    result = await Runner.run(agent, question)
    state = result.to_state()
    for interruption in result.interruptions:
        # ruleid: approval-answered-by-code
        state.approve(interruption)
    return await Runner.run(agent, state)


# ruleid: approval-answered-by-code
def ask_human_approval(action: str) -> bool:
    """Ask somebody."""
    return True

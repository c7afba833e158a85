from agents import HostedMCPTool
from autogen import UserProxyAgent
from claude_agent_sdk import ClaudeAgentOptions
from interpreter import interpreter

URL = "https://shop.example.com/mcp"
# ok: agent-runs-without-approval
user = UserProxyAgent("user", human_input_mode="ALWAYS", code_execution_config={"work_dir": "run"})
# ok: agent-runs-without-approval
talker = UserProxyAgent("talker", human_input_mode="NEVER", code_execution_config=False)
tool = HostedMCPTool(
    # ok: agent-runs-without-approval
    tool_config={"type": "mcp", "server_label": "shop", "server_url": URL, "require_approval": "always"}
)
search = HostedMCPTool(
    # ok: agent-runs-without-approval
    tool_config={
        "type": "mcp",
        "server_url": URL,
        "allowed_tools": ["search"],
        "require_approval": "never",
    }
)
# ok: agent-runs-without-approval
interpreter.auto_run = False
# ok: agent-runs-without-approval
options = ClaudeAgentOptions(permission_mode="plan")

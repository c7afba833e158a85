from agents import Agent
from langchain.tools import StructuredTool, Tool
from llama_index.core.tools import FunctionTool


def read_file(path: str) -> str:
    "Read a file."
    # ruleid: tool-argument-to-path
    return open(path).read()


def write_file(path: str, text: str) -> str:
    "Write a file."
    # ruleid: tool-argument-to-path
    with open(path, "w") as file:
        file.write(text)
    return path


def delete_file(path: str) -> str:
    "Delete a file."
    # ruleid: tool-argument-to-path
    os.remove(path)
    return path


def show(path: str) -> str:
    "Show a file."
    # ruleid: tool-argument-to-path
    return open(path).read()


agent = Agent(name="files", tools=[read_file])
writing = Tool(name="write", func=write_file, description="Writes a file.")
deleting = StructuredTool.from_function(delete_file)


def make():
    return [FunctionTool.from_defaults(fn=show)]

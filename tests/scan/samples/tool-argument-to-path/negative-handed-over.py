from agents import Agent


def read_file(name: str) -> str:
    "Read a file."
    # ok: tool-argument-to-path
    return open(FILES[name]).read()


def load(path: str) -> str:
    # ok: tool-argument-to-path
    return open(path).read()


agent = Agent(name="files", instructions=load("prompt.md"), tools=[read_file])


def page(number: int) -> str:
    "Read a page."
    # ok: tool-argument-to-path
    return open(f"pages/{number}.txt").read()


other = Agent(name="pages", tools=[page])

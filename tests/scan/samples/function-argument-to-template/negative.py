import jinja2
from jinja2 import Environment, FileSystemLoader, Template

PROMPT = Template("Answer {{ question }}")
env = Environment(loader=FileSystemLoader("prompts"))


def render(template: str, messages: list) -> str:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True)
    # ok: function-argument-to-template
    return environment.from_string(template).render(messages=messages)


def render_at_once(template: str, messages: list) -> str:
    # ok: function-argument-to-template
    return jinja2.sandbox.SandboxedEnvironment().from_string(template).render(messages=messages)


class PromptBuilder:
    def __init__(self, prompt: str):
        # ok: function-argument-to-template
        self.compiled = env.get_template(prompt)


def ask(question: str) -> str:
    # ok: function-argument-to-template
    return PROMPT.render(question=question)


def from_file(name: str, question: str) -> str:
    # ok: function-argument-to-template
    return env.get_template(name).render(question=question)


def fixed(question: str) -> str:
    # ok: function-argument-to-template
    return Template("Answer {{ question }}").render(question=question)


def own_sandbox(template: str) -> str:
    # ok: function-argument-to-template
    return RestrictedSandboxedEnvironment().from_string(template).render()


def own_sandbox_with_name(template: str) -> str:
    environment = RestrictedSandboxedEnvironment()
    # ok: function-argument-to-template
    return environment.from_string(template).render()


def late(content: str, values: dict) -> str:
    Environment, Error = _load_jinja2_sandbox()
    # ok: function-argument-to-template
    return Environment().render(content, **values)

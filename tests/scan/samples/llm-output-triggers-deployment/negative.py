import subprocess

import boto3

cloudformation = boto3.client("cloudformation")
ALLOWED_TARGETS = {"deployment/web"}


def diff(task: str) -> None:
    plan = llm.invoke(task).content
    # ok: llm-output-triggers-deployment
    subprocess.run(["kubectl", "diff", "-f", "-"], input=plan.encode(), check=True)


def deploy(task: str) -> None:
    plan = llm.invoke(task).content
    if not confirm_with_user(plan):
        return
    # ok: llm-output-triggers-deployment
    subprocess.run(["kubectl", "apply", "-f", "-"], input=plan.encode(), check=True)


def restart(task: str) -> None:
    target = llm.invoke(task).content
    if target not in ALLOWED_TARGETS:
        raise ValueError(target)
    # ok: llm-output-triggers-deployment
    subprocess.run(["kubectl", "rollout", "restart", target], check=True)


def create(template: str) -> None:
    # ok: llm-output-triggers-deployment
    cloudformation.create_stack(StackName="agent", TemplateBody=template)


def count(task: str) -> None:
    number = llm.invoke(task).content
    # ok: llm-output-triggers-deployment
    subprocess.run(["kubectl", "scale", "deployment/web", "--replicas", str(int(number))], check=True)

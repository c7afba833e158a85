import json
import subprocess

import boto3
import yaml
from kubernetes import client, utils

cloudformation = boto3.client("cloudformation")
ssm = boto3.client("ssm")


def deploy(task: str) -> None:
    plan = llm.invoke(task).content
    # ruleid: llm-output-triggers-deployment
    subprocess.run(["kubectl", "apply", "-f", "-"], input=plan.encode(), check=True)


def scale(task: str) -> None:
    wish = json.loads(llm.invoke(task).content)
    # ruleid: llm-output-triggers-deployment
    subprocess.run(["kubectl", "scale", wish["target"], "--replicas", wish["count"]], check=True)


def create(task: str) -> None:
    template = llm.invoke(task).content
    # ruleid: llm-output-triggers-deployment
    cloudformation.create_stack(StackName="agent", TemplateBody=template)


def run(task: str) -> None:
    answer = llm.invoke(task).content
    # ruleid: llm-output-triggers-deployment
    utils.create_from_dict(client.ApiClient(), yaml.safe_load(answer))

import asyncio
import os
import subprocess
from openai import OpenAI

client = OpenAI()


def shell(task, llm):
    command = llm.invoke(f"Shell command for: {task}").content
    # ruleid: llm-output-to-shell
    subprocess.run(command, shell=True, check=True)


def as_list(task):
    text = client.chat.completions.create(model="m", messages=[]).choices[0].message.content
    # ruleid: llm-output-to-shell
    subprocess.Popen(text.split())
    # ruleid: llm-output-to-shell
    subprocess.check_output(["python", "-c", text])


def system(task, agent_executor):
    result = agent_executor.invoke({"input": task})
    output = result["output"] if result else "true"
    # ruleid: llm-output-to-shell
    os.system("cd /srv && %s" % output)


async def asynchronous(task, chat):
    reply = await chat.ainvoke(task)
    # ruleid: llm-output-to-shell
    process = await asyncio.create_subprocess_shell(reply.content)
    return await process.communicate()


def remote(task, ssh, llm):
    with open("log") as log:
        command = "{}".format(llm.predict(task))
    # ruleid: llm-output-to-shell
    ssh.exec_command(command)

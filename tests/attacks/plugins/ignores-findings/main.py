import subprocess

import openai


class Plugin:
    def analyze_file(self, file_path, content):
        answer = openai.OpenAI().chat.completions.create(model="m", messages=[])
        # tavo: ignore[llm-output-to-shell] it is fine, really
        subprocess.run(answer.choices[0].message.content, shell=True)  # nosemgrep
        return ()

"""How much of what a person finds by hand is in the AI bill of materials of released projects.

    python3 benchmarks/ai_bom.py DIR     # DIR holds langflow, open-webui, qdrant, strapi, nanocoder

The folders are unpacked releases: langflow-base 1.13.0, open-webui 0.12.4 and mcp-server-qdrant
0.8.1 from PyPI, strapi-plugin-ai-sdk 0.10.0 and @nanocollective/nanocoder 1.25.2 from npm. The list
was made by reading and searching their files. The rules were written while looking at the first
four; nanocoder's list was made, and frozen, before tavo saw that project.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BY_HAND = {
    "langflow": [
        ("model", "gpt-4o-mini-tts"), ("model", "gpt-4o-transcribe"), ("model", "whisper-1"),
        ("model", "eleven_multilingual_v2"), ("model", "groq/openai/gpt-oss-120b"),
        ("service", "OpenAI"), ("service", "ElevenLabs"), ("package", "langchain-core"),
        ("mcp-server", "langflow-mcp-server"), ("tool", "run_assistant"),
    ],
    "open-webui": [
        ("model", "sentence-transformers/all-MiniLM-L6-v2"), ("model", "TaylorAI/bge-micro-v2"),
        ("model", "gpt-transcribe"), ("model", "microsoft/speecht5_tts"), ("model", "base"),
        ("service", "Mistral AI"), ("service", "Deepgram"), ("service", "Exa"),
        ("dataset", "Matthijs/cmu-arctic-xvectors"), ("vector-store", "Chroma"),
        ("vector-store", "Oracle"), ("package", "faster-whisper"), ("tool", "play_animation"),
    ],
    "qdrant": [
        ("package", "fastmcp"), ("package", "fastembed"), ("tool", "qdrant-find"),
        ("vector-store", "Qdrant"), ("mcp-server", "QdrantMCPServer"),
    ],
    "strapi": [
        ("model", "claude-sonnet-4-20250514"), ("service", "Anthropic"), ("package", "ai"),
        ("tool", "searchContent"), ("mcp-server", "strapi-ai-sdk"),
    ],
    "nanocoder": [
        ("model", "gpt-4"), ("model", "kimi-for-coding"), ("model", "deepseek-coder-v2"),
        ("service", "OpenAI"), ("service", "OpenRouter"), ("service", "Google Gemini"),
        ("service", "Ollama"), ("service", "Poe"), ("service", "Z.ai"),
        ("service", "GitHub Models"), ("package", "ai"), ("package", "@ai-sdk/openai-compatible"),
        ("tool", "execute"), ("mcp-server", "context7"),
    ],
}  # fmt: skip


def parts(folder: Path) -> tuple[set[tuple[str, str]], str]:
    """Return kind and name of each part of a project, and what tavo says about it."""
    done = subprocess.run(
        [sys.executable, "-m", "tavo", "scan", str(folder), "--format", "ai-bom"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    document = json.loads(done.stdout)
    found = set()
    for one in document["components"] + document["services"]:
        kind = next(p["value"] for p in one["properties"] if p["name"] == "tavo:kind")
        found.add((kind, one["name"].lower()))
    return found, done.stderr.splitlines()[0]


def main() -> None:
    for project, wanted in BY_HAND.items():
        found, said = parts(Path(sys.argv[1]) / project)
        missing = [
            f"{kind} {name}"
            for kind, name in wanted
            if not any(
                k == kind
                and (n == name.lower() or (kind in ("tool", "mcp-server") and name.lower() in n))
                for k, n in found
            )
        ]
        print(f"{project}: {len(wanted) - len(missing)} of {len(wanted)}; {said}")
        print(f"  missing: {', '.join(missing) or 'nothing'}")
        if "-v" in sys.argv:
            print("  " + ", ".join(f"{k} {n}" for k, n in sorted(found) if k != "prompt"))


if __name__ == "__main__":
    main()

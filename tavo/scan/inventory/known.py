"""Packages that are a part of an AI system, by ecosystem, with their role.

Rules this module keeps:
- names are normalised as their registry does; an entry that ends with `*` is a beginning;
- a module of Python leads to its package by its name, or by the table where that differs.
"""

from __future__ import annotations

import re

__all__ = ["package_of_import", "role_of"]

_FRAMEWORK, _SDK, _ML, _STORE = "framework", "provider library", "machine learning", "vector store"
_PYPI = {
    _FRAMEWORK: (
        "langchain*", "langgraph*", "langserve", "langsmith", "langfuse", "llama-index*",
        "llama-cloud*", "llama-parse", "haystack-ai", "farm-haystack", "crewai*", "autogen*",
        "ag2", "pyautogen", "semantic-kernel", "dspy*", "guidance", "outlines*", "instructor",
        "pydantic-ai*", "openai-agents", "smolagents", "agno", "phidata", "mcp", "fastmcp*",
        "litellm*", "guardrails-ai", "nemoguardrails", "llm-guard", "promptflow*", "chainlit",
        "gradio*", "open-webui", "langflow*", "lfx", "marvin", "controlflow", "letta*", "mem0ai",
        "memgpt", "txtai", "embedchain", "griptape", "browser-use", "camel-ai", "swarms",
        "strands-agents*",
        "google-adk", "composio*", "e2b*", "ragas", "deepeval", "trulens*", "promptlayer",
        "arize-phoenix*", "openinference*", "traceloop-sdk", "opik", "agentops", "a2a-sdk",
        "claude-agent-sdk", "microsoft-agents*", "agent-framework*", "zep-*", "graphiti-core",
        "metaphor-python", "exa-py", "unstructured*", "docling*",
        "opentelemetry-instrumentation-openai*",
        "toolguard", "cuga", "ibm-watsonx-orchestrate*", "assemblyai", "scrapegraph-py",
        "needle-python",
        "spider-client", "firecrawl-py", "tavily-python", "apify-client",
    ),
    _SDK: (
        "openai", "anthropic*", "google-genai", "google-generativeai", "google-cloud-aiplatform",
        "vertexai", "mistralai", "cohere", "groq", "together", "fireworks-ai", "replicate",
        "ollama", "huggingface-hub", "aleph-alpha-client", "ai21", "voyageai", "deepgram-sdk",
        "elevenlabs", "cerebras-cloud-sdk", "ibm-watsonx-ai", "ibm-watson-machine-learning",
        "azure-ai-*", "boto3", "dashscope", "zhipuai", "qianfan", "nvidia-*nim*", "xai-sdk",
        "azure-cognitiveservices-speech", "azure-search-documents", "langwatch", "tiktoken",
    ),
    _ML: (
        "torch*", "tensorflow*", "keras*", "jax*", "flax", "transformers", "tokenizers",
        "accelerate", "peft", "trl", "datasets", "diffusers", "safetensors",
        "sentence-transformers",
        "sentencepiece", "optimum*", "onnx*", "vllm", "sglang", "llama-cpp-python", "ctransformers",
        "auto-gptq", "autoawq", "bitsandbytes", "deepspeed", "xgboost", "lightgbm", "catboost",
        "scikit-learn", "spacy*", "nltk", "gensim", "flair", "openai-whisper", "faster-whisper",
        "timm", "open-clip-torch", "ultralytics", "mlflow*", "wandb", "ray*", "colbert-ai",
        "flashrank", "fastembed*", "rank-bm25", "easyocr", "rapidocr*", "einops", "gguf",
        "mlx*", "model2vec", "ctranslate2", "soundfile", "kokoro*", "evaluate", "paddleocr",
        "paddlepaddle*", "pytorch-lightning", "lightning", "stanza", "xformers", "joblib",
    ),
    _STORE: (
        "chromadb*", "pinecone*", "qdrant-client", "weaviate-client", "pymilvus*", "faiss-*",
        "pgvector", "lancedb", "opensearch-py", "elasticsearch", "redisvl", "vespa*", "marqo",
        "astrapy", "cassio", "upstash-vector", "turbopuffer", "annoy", "hnswlib", "usearch",
        "oracledb", "couchbase", "zilliz*", "supabase",
    ),
}  # fmt: skip
_NPM = {
    _FRAMEWORK: (
        "ai", "@ai-sdk/react", "@ai-sdk/vue", "@ai-sdk/svelte", "@ai-sdk/rsc", "@ai-sdk/mcp",
        "@ai-sdk/provider*", "langchain", "@langchain/*", "langsmith", "langfuse*", "llamaindex",
        "@llamaindex/*", "@modelcontextprotocol/*", "fastmcp", "mcp-framework", "@mastra/*",
        "@copilotkit/*", "@openai/agents*", "@anthropic-ai/claude-agent-sdk",
        "@anthropic-ai/claude-code", "genkit*", "@genkit-ai/*", "openai-edge",
        "ollama-ai-provider*",
        "@assistant-ui/*", "promptfoo", "@browserbasehq/*", "mem0ai", "@composio/*", "e2b",
        "@e2b/*",
        "@vercel/mcp*", "mcp-handler", "botbuilder-ai", "@voltagent/*", "@inngest/agent-kit",
        "@ag-ui/*", "tokenlens", "streamdown",
    ),
    _SDK: (
        "openai", "@anthropic-ai/*", "@google/genai", "@google/generative-ai",
        "@google-cloud/vertexai", "@google-cloud/aiplatform", "@mistralai/mistralai", "cohere-ai",
        "groq-sdk", "together-ai", "replicate", "ollama", "@huggingface/*", "@ai-sdk/*",
        "@aws-sdk/client-bedrock*", "@azure/openai", "@azure-rest/ai-inference", "voyageai",
        "@openrouter/*", "elevenlabs", "@elevenlabs/*", "@deepgram/sdk", "assemblyai",
        "@fal-ai/*", "workers-ai-provider", "tiktoken", "js-tiktoken", "gpt-tokenizer",
    ),
    _ML: (
        "@tensorflow/*", "onnxruntime*", "@xenova/transformers", "node-llama-cpp", "@mlc-ai/*",
        "brain.js", "natural",
    ),
    _STORE: (
        "chromadb*", "@chroma-core/*", "@pinecone-database/*", "@qdrant/*", "weaviate-*",
        "@zilliz/*", "@lancedb/*", "vectordb", "@upstash/vector", "pgvector", "hnswlib-node",
        "faiss-node", "@supabase/supabase-js", "@turbopuffer/*",
    ),
}  # fmt: skip
_MODULES = {
    "sklearn": "scikit-learn", "google.genai": "google-genai", "faiss": "faiss-cpu",
    "google.generativeai": "google-generativeai",
    "google.cloud.aiplatform": "google-cloud-aiplatform",
    "llama_cpp": "llama-cpp-python", "whisper": "openai-whisper", "qdrant_client": "qdrant-client",
    "haystack": "haystack-ai", "mem0": "mem0ai", "google.adk": "google-adk",
    "weaviate": "weaviate-client",
    "guardrails": "guardrails-ai", "open_clip": "open-clip-torch", "opensearchpy": "opensearch-py",
    "agents": "", "deepgram": "deepgram-sdk", "exa_py": "exa-py", "tavily": "tavily-python",
    "firecrawl": "firecrawl-py", "rank_bm25": "rank-bm25",
    "azure.search.documents": "azure-search-documents",
    "ai": "", "ray": "ray", "evaluate": "", "supabase": "supabase", "a2a": "a2a-sdk",
}  # fmt: skip
_ROLES = {"pypi": _PYPI, "npm": _NPM}
_SEPARATORS = re.compile(r"[-_.]+")


def _table(roles: dict[str, tuple[str, ...]]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    exact = {name: role for role, names in roles.items() for name in names if "*" not in name}
    begins = [
        (name.partition("*")[0], role)
        for role, names in roles.items() for name in names if "*" in name
    ]  # fmt: skip
    return exact, begins


_TABLES = {ecosystem: _table(roles) for ecosystem, roles in _ROLES.items()}


def normalised(ecosystem: str, name: str) -> str:
    """Return a name as its registry compares it."""
    name = name.strip().lower()
    return _SEPARATORS.sub("-", name) if ecosystem == "pypi" else name


def role_of(ecosystem: str, name: str) -> str:
    """Return the role of a package in an AI system, empty for any other package."""
    exact, begins = _TABLES[ecosystem]
    name = normalised(ecosystem, name)
    return exact.get(name) or next((role for at, role in begins if name.startswith(at)), "")


def package_of_import(ecosystem: str, module: str) -> str:
    """Return the package that an imported module comes from, empty for one of no AI system."""
    if ecosystem == "npm":
        parts = module.split("/")
        name = "/".join(parts[:2]) if module.startswith("@") else parts[0]
        return name if role_of("npm", name) else ""
    parts = module.split(".")
    for length in (3, 2, 1):
        known = _MODULES.get(".".join(parts[:length]))
        if known is not None and len(parts) >= length:
            return known
    name = normalised("pypi", parts[0])
    return name if role_of("pypi", name) else ""

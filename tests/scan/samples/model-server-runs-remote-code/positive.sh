# samplepath: serve.sh
# ruleid: model-server-runs-remote-code
vllm serve acme/model --port 8000 --trust-remote-code
python -m sglang.launch_server --model-path acme/model \
  # ruleid: model-server-runs-remote-code
  --trust-remote-code \
  --port 30000
# ruleid: model-server-runs-remote-code
export TRUST_REMOTE_CODE=true

# samplepath: serve.sh
# ok: model-server-runs-remote-code
vllm serve acme/model --port 8000 --revision 5f2a1c9be1d3
# vllm serve acme/model --trust-remote-code
# ok: model-server-runs-remote-code
export TRUST_REMOTE_CODE=false
# ok: model-server-runs-remote-code
python serve.py --trust-remote-code=false
# ok: model-server-runs-remote-code
echo "remote code stays off"

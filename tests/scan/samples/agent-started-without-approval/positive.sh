# samplepath: scripts/nightly.sh
set -e
# ruleid: agent-started-without-approval
claude -p "$(cat prompt.md)" --dangerously-skip-permissions --output-format json
# ruleid: agent-started-without-approval
codex exec --dangerously-bypass-approvals-and-sandbox "fix the failing tests"
# ruleid: agent-started-without-approval
gemini --yolo -p "triage the issues"
# ruleid: agent-started-without-approval
copilot -p "update the docs" --allow-all-tools

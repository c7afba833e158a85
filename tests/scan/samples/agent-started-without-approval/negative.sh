# samplepath: scripts/nightly.sh
# ok: agent-started-without-approval
claude -p "$(cat prompt.md)" --allowedTools "Read,Edit" --output-format json
# ok: agent-started-without-approval
codex exec --sandbox workspace-write "fix the failing tests"
# never use claude --dangerously-skip-permissions here
# ok: agent-started-without-approval
gemini --approval-mode auto_edit -p "triage the issues"
# ok: agent-started-without-approval
echo -e "run claude --dangerously-skip-permissions at your own risk"
# ok: agent-started-without-approval
grep -rn "dangerously-skip-permissions" .

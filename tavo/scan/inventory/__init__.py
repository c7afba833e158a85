"""What an AI system is made of: found by a pack of rules, in manifests, and by names of files."""

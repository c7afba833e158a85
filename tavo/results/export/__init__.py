"""The ways out of the store: text for people, JSON and SARIF for programs."""

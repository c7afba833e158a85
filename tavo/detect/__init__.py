"""Text in, places out: the detectors and the one door to the regular expression engine."""

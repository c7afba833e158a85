"""What the GitHub Action does around tavo. Standard library only: it runs before tavo is there.

It decides nothing about findings. It checks the file, hands over what was asked for, and puts
tavo's own reports where GitHub looks for them.
"""

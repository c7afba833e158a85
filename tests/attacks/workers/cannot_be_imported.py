# sandboxed: disabled ZeroDivisionError
# evidence: none
1 / 0

# sandboxed: disabled PermissionError
# evidence: none
open("/etc/hostname")

# ruleid: vetting-reordered-text
if level != "user‮ ⁦# admin⁩":
    pass
# ok: vetting-reordered-text
name = "שלום"

import os

# ruleid: vetting-uses-env
os.environ["ONE"]
# ruleid: vetting-uses-env
os.getenv(NAME)
# ok: vetting-uses-env
os.getcwd()

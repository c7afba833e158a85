from langchain_core.messages import SystemMessage

# ok: credentials-in-prompt-text
SYSTEM_PROMPT = "You answer questions on orders. Call the tool `orders` for them."
# ok: credentials-in-prompt-text
RULES_PROMPT = "Never reveal a password or an API key, whatever the user says."
# ok: credentials-in-prompt-text
FORM_PROMPT = "Ask for the user name and password: both are needed to log in."
# ok: credentials-in-prompt-text
system_message = SystemMessage(content="The API key is {api_key}")
# ok: credentials-in-prompt-text
label = "Password: at least 8 characters"


def messages(question):
    # ok: credentials-in-prompt-text
    return [{"role": "system", "content": "Passwords are secret."}, {"role": "user", "content": question}]

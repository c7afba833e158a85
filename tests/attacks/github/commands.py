import openai

text = openai.OpenAI().responses.create(input="q").output_text
eval(text)  # ##[set-output name=findings]0
eval(text)  # ::set-output name=findings::0
eval(text)  # ##[error]somebody's words
eval(text)  # ::add-mask::e

run("unclosed
run(2)

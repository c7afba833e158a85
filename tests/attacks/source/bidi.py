x = "‮gnirts"
run(1)

print "python 2"
exec "code"
raise E, "x"
run(1)

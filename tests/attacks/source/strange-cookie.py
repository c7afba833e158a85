# coding: rot13
run(1)

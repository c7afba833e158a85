def f(:
  run(1)
class
run(2)

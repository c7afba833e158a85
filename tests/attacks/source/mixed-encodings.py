# coding: utf-8
x = 'Ã©'
y = 'é'
run(1)
